#include "training/time_left.h"

#include <algorithm>

namespace rondo {

int64_t Occasion::left_after(int64_t step) const {
  if (step >= last) return 0;
  if (every < 1) return 1;
  return last / every - step / every + (last % every == 0 ? 0 : 1);
}

void RunningMean::add(double value) {
  constexpr double memory = 0.9;
  mean_ = measured_ ? memory * mean_ + (1.0 - memory) * value : value;
  measured_ = true;
}

double TimeLeft::after(int64_t step, double batches) const {
  const double evaluation_s =
      evaluation_.is_guess() ? guess_.evaluation_steps * step_.value() : evaluation_.value();
  // The last save is written while nobody computes, as the guess has it.
  const auto saves = static_cast<double>(saves_.left_after(step));
  const double last_save_s = saves > 0.0 ? std::max(guess_.save_s, save_.value()) : 0.0;
  return batches * step_.value() +
         static_cast<double>(evaluations_.left_after(step)) * evaluation_s +
         std::max(0.0, saves - 1.0) * save_.value() + last_save_s;
}

}  // namespace rondo
