#include "model/operations/embedding.h"

#include <ATen/ops/index_select.h>

namespace rondo {

using at::Tensor;

Tensor embed(const Tensor& tokens, int64_t sequence, const Embedding& embedding, int64_t begin) {
  Tensor x = at::index_select(embedding.tokens.value, 0, tokens);  // [batch·sequence, hidden]
  if (embedding.scale != 1.0) x.mul_(embedding.scale);
  if (embedding.positions) {
    x.view({-1, sequence, x.size(1)}).add_(embedding.positions->value.narrow(0, begin, sequence));
  }
  return x;
}

void embed_backward(const Tensor& tokens, int64_t sequence, const Tensor& gradient,
                    const Embedding& embedding) {
  Tensor rows = embedding.tokens.gradient;  // [vocab, hidden]
  const Tensor g = gradient.to(rows.scalar_type());
  if (embedding.positions) {
    const Tensor summed = g.view({-1, sequence, g.size(1)}).sum(0);  // [sequence, hidden]
    embedding.positions->gradient.narrow(0, 0, sequence).add_(summed);
  }
  rows.index_add_(0, tokens, g, embedding.scale);
}

}  // namespace rondo
