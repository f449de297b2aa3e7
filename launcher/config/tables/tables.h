// The keys by their tables, in the order in which a config is printed.
#pragma once

#include <vector>

#include "launcher/config/schema.h"

namespace rondo {

/// [model], [sharing], [relaxation]
std::vector<ConfigField> model_fields();
/// [data], [train], [optimizer]
std::vector<ConfigField> training_fields();
/// The part of [train] about how a run goes on and ends.
std::vector<ConfigField> control_fields();
/// [distributed], [checkpoint], [log], [cluster]
std::vector<ConfigField> run_fields();

/// All of `parts`, in their order.
std::vector<ConfigField> joined(const std::vector<std::vector<ConfigField>>& parts);

}  // namespace rondo
