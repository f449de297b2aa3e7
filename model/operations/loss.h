// Cross-entropy, and what a teacher adds to it, without ever holding the logits of a whole
// microbatch.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "model/component_store.h"

namespace rondo {

/// What a teacher says of the same tokens, before its head turns it into logits.
struct SoftTargets {
  at::Tensor x;              ///< [tokens, teacher's hidden]
  at::Tensor head;           ///< [vocab, teacher's hidden]
  double temperature = 1.0;  ///< T: both sides' logits are divided by it
  double weight = 1.0;       ///< w: the loss is (1 − w)·cross-entropy + w·T²·divergence
};

/// What the head is held against.
struct HeadTargets {
  at::Tensor tokens;  ///< [tokens] int64
  std::optional<SoftTargets> soft = {};
};

/// What the head made of one microbatch.
struct HeadResult {
  /// [2], float64: the sum of −log p(target), in nats, and the sum of KL(teacher ‖ model) at the
  /// temperature, 0 without a teacher.
  at::Tensor losses;
  at::Tensor gradient_x;  ///< [tokens, hidden], scaled; undefined without gradients
};

/// Softmax of x·headᵀ against `targets`, over chunks of rows, so that only one chunk's logits exist
/// at a time. x [tokens, hidden]. With `gradient_scale` ≠ 0 the gradients of gradient_scale · loss
/// come out at once: ∂x in the result, ∂head added to the parameter's gradient. The divergence is
/// the forward one and is scaled by T² so that its gradient keeps its size (Hinton et al., arXiv
/// 1503.02531; forward KL as in Relaxed Recursive Transformers, arXiv 2410.20672).
HeadResult head_loss(const at::Tensor& x, const Parameter& head, const HeadTargets& targets,
                     double gradient_scale);

}  // namespace rondo
