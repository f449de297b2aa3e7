// AdamW (Loshchilov & Hutter, arXiv 1711.05101) on a run of a flat buffer.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/optimizer/adamw_options.h"

namespace rondo {

/// Elements [begin, end) of the run that decay, or that do not.
struct DecaySpan {
  int64_t begin = 0;
  int64_t end = 0;
  bool decays = false;
};

/// Weights and what the optimizer knows of them, all [n] of master type; views or owners alike.
struct AdamWRun {
  at::Tensor master;
  at::Tensor gradient;
  at::Tensor exp_avg;
  at::Tensor exp_avg_sq;
  std::vector<DecaySpan> spans;  ///< elements in no span (padding) stay as they are
};

/// One update with the rate `lr`; `step` counts from 1 for bias correction.
void adamw_update(AdamWRun& run, const AdamWOptions& options, double lr, int64_t step);

}  // namespace rondo
