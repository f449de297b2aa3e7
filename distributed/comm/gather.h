// Reports of all ranks in one place.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "distributed/comm/communicator.h"

namespace rondo {

/// The number of every member on every member, in the order of the ranks. Collective.
std::vector<int64_t> everyones(Communicator& ranks, int64_t mine);
std::vector<double> everyones(Communicator& ranks, double mine);

/// Copies `mine` of every member, which all have one size, to `all` on the first of them, in the
/// order of the ranks; `all` is not touched elsewhere. One small message a member, which counts as
/// an activation of `ranks`. Collective.
void gather_on_first(Communicator& ranks, Buffer mine, void* all);

/// The text of every member on the first of them, in the order of the ranks; nothing on the others.
/// Collective.
std::vector<std::string> gather_texts(Communicator& ranks, const std::string& mine);

}  // namespace rondo
