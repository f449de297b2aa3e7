// Root mean square normalisation (Zhang & Sennrich, arXiv 1910.07467).
#pragma once

#include <torch/torch.h>

#include "model/component_store.h"

namespace rondo {

/// One use of a norm's gain in one layer.
struct Norm {
  Parameter gain;  ///< [hidden]
  double eps = 1e-5;
  double gradient_weight = 1.0;  ///< as in Linear
};

/// x [tokens, hidden] → x / rms(x) · gain, statistics in master precision. Backward adds to the
/// gain's gradient.
torch::Tensor rms_norm(const torch::Tensor& x, const Norm& use);

}  // namespace rondo
