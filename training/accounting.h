// What a step cost: operations, bytes, memory and time of every rank.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "distributed/comm/communicator.h"
#include "distributed/plan/schedule/simulate.h"
#include "distributed/plan/step_plan.h"
#include "model/definition/model_definition.h"
#include "training/step_metrics.h"

namespace rondo {

/// The most memory of its device that this process has had so far, in bytes.
int64_t peak_memory_bytes(at::Device device);

/// What each rank reports of itself, by rank, on the first rank; empty on the others. Collective.
std::vector<RankMetrics> gather_ranks(RankMetrics mine, Communicator& host);

/// The timelines of all ranks, in order, on the first rank; empty on the others. Collective.
std::vector<std::vector<TimedAction>> gather_timelines(const std::vector<TimedAction>& mine,
                                                       Communicator& host);

/// Floating-point operations a token of a step: forward through the layers that it executes, and
/// backward through those that it trains. The head counts whole in both.
double flops_per_token(const StepPlan& step, int64_t sequence);

/// "predicted 12.3 ms a step, measured 13.1 (median of 40): +6 %".
std::string compare_step_time(double predicted_s, std::vector<double> measured_s);

}  // namespace rondo
