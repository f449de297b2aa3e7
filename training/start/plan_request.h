// From the configuration to what the planner is asked.
#pragma once

#include "distributed/plan/candidates.h"
#include "model/definition/model_definition.h"
#include "training/config.h"

namespace rondo {

/// Prices come from `cluster.*`, the choice from `distributed.*`. A rank sums beside computing with
/// the nccl backend and over a network; within a node MPI's sums keep its core busy. Throws
/// UserError for an impossible sharing map.
PlanRequest plan_request(const Config& config, int world);

/// The same for a model that is not the config's: that of a checkpoint.
PlanRequest plan_request(const Config& config, const ModelDefinition& model, int world);

}  // namespace rondo
