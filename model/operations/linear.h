// y = x·Wᵀ + b, with the weight gradient added straight into the flat gradient buffer.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "model/component_store.h"
#include "model/operations/deferred_gradients.h"
#include "model/operations/layer_vector.h"

namespace rondo {

/// A low-rank term of one layer: rows [row, row + b.size(0)) of the product gain (x·Aᵀ)·Bᵀ.
/// Relaxed Recursive Transformers, arXiv 2410.20672; no α/r scaling.
struct Adapter {
  Parameter a;  ///< [r, in]
  Parameter b;  ///< [rows, r]
  int64_t row = 0;
};

/// One use of one or more stacked linears in one layer.
struct Linear {
  Parameter weight;                      ///< [out, in]
  std::optional<LayerVector> bias = {};  ///< [out]
  std::vector<Adapter> adapters = {};
  /// Where its weight gradients go; null: they are added at once.
  c10::intrusive_ptr<DeferredGradients> gradients = {};
  /// What this use contributes to the shared gradient: 1 for "sum", 1/uses for "mean", 1 or 0 for
  /// "owner". Adapters belong to the layer and always get their whole gradient.
  double gradient_weight = 1.0;
};

/// x [tokens, in] → [tokens, out]; with `residual` [tokens, out] the sum of both. Differentiable in
/// x and residual; backward adds to the gradients of the parameters, in master precision and
/// without a temporary of the weight's size.
at::Tensor linear(const at::Tensor& x, const Linear& use,
                  const std::optional<at::Tensor>& residual = std::nullopt);

/// gradient [m, n] += weight · aᵀ·b for a [tokens, m], b [tokens, n].
void accumulate_product(const at::Tensor& gradient, const at::Tensor& a, const at::Tensor& b,
                        double weight);

}  // namespace rondo
