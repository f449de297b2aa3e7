// Token embedding, outside of autograd: it is the first thing forward and the last thing backward.
#pragma once

#include <torch/torch.h>

#include "model/component_store.h"

namespace rondo {

/// tokens [n] int64 → [n, hidden].
torch::Tensor embed(const torch::Tensor& tokens, const Parameter& embedding);

/// Adds gradient [n, hidden] to the rows of the embedding's gradient that `tokens` [n] chose.
void embed_backward(const torch::Tensor& tokens, const torch::Tensor& gradient,
                    const Parameter& embedding);

}  // namespace rondo
