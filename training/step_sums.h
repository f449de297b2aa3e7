// What the ranks tell each other after a step.
#pragma once

#include <type_traits>

#include "distributed/comm/communicator.h"
#include "training/control/stop_requests.h"

namespace rondo {

/// What the ranks add up after each step, in one sum.
struct StepSums {
  double stop_signals = 0.0;
  double time_over = 0.0;
  double ended_saves = 0.0;
  double activation_bytes = 0.0;
  double reduce_bytes = 0.0;
  double gather_bytes = 0.0;

  /// What a rank asks for.
  StopReason asked() const {
    if (stop_signals > 0.0) return StopReason::signal;
    return time_over > 0.0 ? StopReason::time : StopReason::none;
  }
};

/// Collective.
inline StepSums sum_over_ranks(StepSums sums, Communicator& host) {
  static_assert(std::is_standard_layout_v<StepSums> && sizeof(StepSums) % sizeof(double) == 0);
  host.all_reduce_sum({&sums, sizeof(StepSums) / sizeof(double), ElementType::float64});
  return sums;
}

}  // namespace rondo
