// AdamW (Loshchilov & Hutter, arXiv 1711.05101) on a run of a flat buffer.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

namespace rondo {

/// `optimizer.*`; decay is decoupled and applies to tensors of two or more dimensions.
struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double weight_decay = 0.1;
};

/// Elements [begin, end) of the run that decay, or that do not.
struct DecaySpan {
  int64_t begin = 0;
  int64_t end = 0;
  bool decays = false;
};

/// Weights and what the optimizer knows of them, all [n] of master type; views or owners alike.
struct AdamWRun {
  torch::Tensor master;
  torch::Tensor gradient;
  torch::Tensor exp_avg;
  torch::Tensor exp_avg_sq;
  std::vector<DecaySpan> spans;  ///< elements in no span (padding) stay as they are
};

/// One update with the rate `lr`; `step` counts from 1 for bias correction.
void adamw_update(AdamWRun& run, const AdamWOptions& options, double lr, int64_t step);

}  // namespace rondo
