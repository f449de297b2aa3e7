// The gated feed-forward branch (SwiGLU: Shazeer, arXiv 2002.05202).
#pragma once

#include <torch/torch.h>

#include "model/linear.h"

namespace rondo {

/// One layer's use of a feed-forward component.
struct FeedForward {
  Linear gate_up;  ///< gate and up stacked: [2·ffn, hidden]
  Linear down;     ///< [hidden, ffn]
};

/// gate_up [tokens, 2·ffn] → silu(gate)·up, [tokens, ffn]. Keeps only its input for backward.
torch::Tensor swiglu(const torch::Tensor& gate_up);

/// The branch added to the stream: x, residual [tokens, hidden] → [tokens, hidden].
torch::Tensor feed_forward(const torch::Tensor& x, const torch::Tensor& residual,
                           const FeedForward& use);

}  // namespace rondo
