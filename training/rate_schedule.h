// Learning rate as a function of the step.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rondo {

/// The rate rises linearly over the first `warmup` steps. Then it follows its shape:
///   constant      the plain rate
///   cosine        half a cosine wave down to lr·min_ratio (arXiv 1608.03983, without restarts)
///   linear        a straight line down to lr·min_ratio
///   inverse_sqrt  lr·√(warmup/step), and not below lr·min_ratio (arXiv 1706.03762, section 5.3)
///   trapezoid     constant, then linear to lr·min_ratio over the last `decay_share` of the steps
///                 (warmup-stable-decay, arXiv 2405.18392)
/// cosine, linear and trapezoid end at step `steps` and stay there. With min_ratio = 0 their end
/// lies one step after that, so that no step trains nothing.
struct RateSchedule {
  std::string schedule = "cosine";
  double lr = 1e-3;
  int64_t warmup = 0;
  double min_ratio = 0.1;
  double decay_share = 0.2;
  int64_t steps = 1;

  /// Rate of `step`, counted from 1.
  double at(int64_t step) const;

  bool operator==(const RateSchedule&) const = default;
};

/// The names of the shapes.
std::vector<std::string> rate_schedules();

}  // namespace rondo
