#include "training/rate_schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/user_error.h"

namespace rondo {

double RateSchedule::at(int64_t step) const {
  if (step <= warmup) return lr * static_cast<double>(step) / static_cast<double>(warmup);
  // Done fraction of the steps after the warm-up, 1 at the end.
  const int64_t end = min_ratio == 0.0 ? steps + 1 : steps;
  const double span = static_cast<double>(std::max<int64_t>(end - warmup, 1));
  const double done = std::min(static_cast<double>(step - warmup) / span, 1.0);
  if (schedule == "constant") return lr;
  if (schedule == "cosine") {
    const double wave = 0.5 * (1.0 + std::cos(std::numbers::pi * done));
    return lr * (min_ratio + (1.0 - min_ratio) * wave);
  }
  if (schedule == "trapezoid") {
    const double falling = std::clamp((done - 0.8) / 0.2, 0.0, 1.0);
    return lr * (1.0 + (min_ratio - 1.0) * falling);
  }
  throw UserError("optimizer.schedule = \"" + schedule + "\": write constant, cosine or trapezoid");
}

std::vector<std::string> rate_schedules() { return {"constant", "cosine", "trapezoid"}; }

}  // namespace rondo
