// How a run tells what it does, whoever listens.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "distributed/plan/placement.h"
#include "distributed/plan/schedule/simulate.h"
#include "training/step_metrics.h"

namespace rondo {

/// A finished step.
struct StepReport {
  StepMetrics metrics = {};
  double mfu = 0.0;    ///< fraction of the devices' peak, by executed layers
  double eta_s = 0.0;  ///< until the run ends, with its evaluations and saves
};

/// One step in time, as every rank ran it or as the planner expects it.
struct StepTrace {
  int64_t step = 0;
  std::string kind = {};  ///< measured, simulated
  Placement placement = {};
  std::vector<std::vector<TimedAction>> ranks = {};
  double update_s = 0.0;  ///< norm, clipping and optimizer, after the last action
};

/// Called on all ranks alike; those of all ranks but the first do nothing. None throws.
struct RunReport {
  std::function<void(const StepReport&)> step = [](const StepReport&) {};
  std::function<void(const std::string&)> line = [](const std::string&) {};
  /// The run goes on from an earlier step.
  std::function<void(int64_t step)> rewound = [](int64_t) {};
  std::function<void(const StepTrace&)> trace = [](const StepTrace&) {};
};

}  // namespace rondo
