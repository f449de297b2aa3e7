// The feed-forward branch, gated (Shazeer, arXiv 2002.05202) or not.
#pragma once

#include <ATen/core/Tensor.h>

#include "model/definition/families.h"
#include "model/operations/join.h"
#include "model/operations/linear.h"

namespace rondo {

/// One layer's use of a feed-forward component.
struct FeedForward {
  Linear up;  ///< [ffn, hidden]; of a gated one gate and up stacked: [2·ffn, hidden]
  Join down;  ///< [hidden, ffn]
  Activation activation = Activation::silu;
  bool gated = true;
};

/// gate_up [tokens, 2·ffn] → activation(gate)·up, [tokens, ffn]. Keeps only its input for backward.
at::Tensor gated_unit(const at::Tensor& gate_up, Activation activation);

/// The branch added to the stream: x, residual [tokens, hidden] → [tokens, hidden].
at::Tensor feed_forward(const at::Tensor& x, const at::Tensor& residual, const FeedForward& use);

}  // namespace rondo
