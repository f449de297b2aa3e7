// From the configuration to what the planner is asked.
#pragma once

#include "distributed/plan/search.h"
#include "launcher/config.h"

namespace rondo {

/// Prices come from `cluster.*`, the choice from `distributed.*`. A rank sums beside computing only
/// with the nccl backend; MPI's calls keep it busy. Throws UserError for an impossible sharing map.
PlanRequest plan_request(const Config& config, int world);

}  // namespace rondo
