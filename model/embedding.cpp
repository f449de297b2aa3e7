#include "model/embedding.h"

namespace rondo {

torch::Tensor embed(const torch::Tensor& tokens, const Parameter& embedding) {
  return at::index_select(embedding.value, 0, tokens);
}

void embed_backward(const torch::Tensor& tokens, const torch::Tensor& gradient,
                    const Parameter& embedding) {
  torch::Tensor rows = embedding.gradient;
  rows.index_add_(0, tokens, gradient.to(rows.scalar_type()));
}

}  // namespace rondo
