#include "training/rate_schedule.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "base/user_error.h"

namespace rondo {
namespace {

/// Where a step stands between the warm-up and the end.
struct Moment {
  int64_t step;
  double done;  ///< share of the steps after the warm-up, from 0 to 1
};

/// The rate after the warm-up, in units of lr.
using Shape = double (*)(const RateSchedule&, const Moment&);

double constant(const RateSchedule& /*rate*/, const Moment& /*at*/) { return 1.0; }

double cosine(const RateSchedule& rate, const Moment& at) {
  const double wave = 0.5 * (1.0 + std::cos(std::numbers::pi * at.done));
  return rate.min_ratio + (1.0 - rate.min_ratio) * wave;
}

double linear(const RateSchedule& rate, const Moment& at) {
  return 1.0 + (rate.min_ratio - 1.0) * at.done;
}

double trapezoid(const RateSchedule& rate, const Moment& at) {
  const double flat = 1.0 - rate.decay_share;
  const double falling = std::clamp((at.done - flat) / rate.decay_share, 0.0, 1.0);
  return 1.0 + (rate.min_ratio - 1.0) * falling;
}

double inverse_sqrt(const RateSchedule& rate, const Moment& at) {
  const auto begin = static_cast<double>(std::max<int64_t>(rate.warmup, 1));
  return std::max(rate.min_ratio, std::sqrt(begin / static_cast<double>(at.step)));
}

const std::map<std::string, Shape>& shapes() {
  static const std::map<std::string, Shape> table = {{"constant", constant},
                                                     {"cosine", cosine},
                                                     {"inverse_sqrt", inverse_sqrt},
                                                     {"linear", linear},
                                                     {"trapezoid", trapezoid}};
  return table;
}

}  // namespace

double RateSchedule::at(int64_t step) const {
  const auto shape = shapes().find(schedule);
  if (shape == shapes().end()) {
    throw UserError("optimizer.schedule = \"" + schedule + "\" is no shape of the rate");
  }
  if (step <= warmup) return lr * static_cast<double>(step) / static_cast<double>(warmup);
  const int64_t end = min_ratio == 0.0 ? steps + 1 : steps;
  const auto span = static_cast<double>(std::max<int64_t>(end - warmup, 1));
  const double done = std::min(static_cast<double>(step - warmup) / span, 1.0);
  return lr * shape->second(*this, {step, done});
}

std::vector<std::string> rate_schedules() {
  std::vector<std::string> names;
  for (const auto& [name, shape] : shapes()) names.push_back(name);
  return names;
}

}  // namespace rondo
