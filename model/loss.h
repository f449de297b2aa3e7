// Cross-entropy that never holds the logits of a whole microbatch.
#pragma once

#include <torch/torch.h>

#include "model/component_store.h"

namespace rondo {

/// What the head made of one microbatch.
struct HeadResult {
  torch::Tensor loss;        ///< [], float64: sum of −log p(target), in nats
  torch::Tensor gradient_x;  ///< [tokens, hidden], scaled; undefined without gradients
};

/// Cross-entropy of softmax(x·headᵀ) against `targets`, over chunks of rows, so that only one
/// chunk's logits exist at a time. x [tokens, hidden], targets [tokens] int64. With
/// `gradient_scale` ≠ 0 the gradients of gradient_scale · loss come out at once: ∂x in the result,
/// ∂head added to the parameter's gradient.
HeadResult head_loss(const torch::Tensor& x, const Parameter& head, const torch::Tensor& targets,
                     double gradient_scale);

}  // namespace rondo
