// What a looped model buys, beside models that share nothing.
#pragma once

#include <string>

#include "distributed/plan/cost.h"

namespace rondo {

/// A table: the model, the unshared one of as many parameters, and the unshared one of as many
/// operations, with what each stores, counts as, computes, and keeps of a token. Empty where no
/// layers recur. `truncated`: gradients stop before the first pass.
std::string worth_report(const Workload& work, bool truncated);

/// The same as a JSON list of objects; empty where no layers recur.
std::string worth_json(const Workload& work, bool truncated);

}  // namespace rondo
