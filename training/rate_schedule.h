// Learning rate as a function of the step.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rondo {

/// `optimizer.{lr,warmup,schedule,min_ratio}`. Schedules: "constant" (the plain rate), "cosine"
/// (down to lr·min_ratio at the last step), "trapezoid" (constant, then linear to lr·min_ratio over
/// the last fifth: warmup-stable-decay). With min_ratio = 0 the end lies one step after the last,
/// so that no step trains nothing. Warm-up is linear over the first `warmup` steps.
struct RateSchedule {
  std::string schedule = "cosine";
  double lr = 1e-3;
  int64_t warmup = 0;
  double min_ratio = 0.1;
  int64_t steps = 1;

  /// Rate of `step`, counted from 1.
  double at(int64_t step) const;
};

/// The names of the schedules.
std::vector<std::string> rate_schedules();

}  // namespace rondo
