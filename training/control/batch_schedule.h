// How many sequences a step takes.
#pragma once

#include <algorithm>
#include <cstdint>

namespace rondo {

/// `train.{global_batch,batch_ramp_from,batch_ramp_steps}`: the batch grows linearly over the first
/// `ramp_steps`, in multiples of `from` sequences, so that it does not depend on the ranks.
struct BatchSchedule {
  int64_t full = 1;
  int64_t from = 1;
  int64_t ramp_steps = 0;  ///< 0: every step takes `full`

  /// Sequences of `step`, counted from 1.
  int64_t at(int64_t step) const {
    if (step > ramp_steps) return full;
    const int64_t grown = from + (full - from) * (step - 1) / ramp_steps;
    return grown / from * from;
  }

  /// Of a full batch.
  double share(int64_t step) const {
    return static_cast<double>(at(step)) / static_cast<double>(full);
  }

  /// What comes after `step` up to the step `last`, in full batches.
  double left_after(int64_t step, int64_t last) const {
    double batches = 0.0;
    for (; step < std::min(last, ramp_steps); ++step) {
      batches += share(step + 1);
    }
    return batches + static_cast<double>(last - step);
  }
};

}  // namespace rondo
