// What stands in front of the first layer, outside of autograd: it is the first thing forward and
// the last thing backward.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "model/component_store.h"

namespace rondo {

struct Embedding {
  Parameter tokens;                         ///< [vocab, hidden]
  std::optional<Parameter> positions = {};  ///< [at least sequence, hidden], added where learned
  double scale = 1.0;                       ///< of the tokens' rows
};

/// tokens [batch·sequence] int64, each sequence from position `begin` on → [batch·sequence,
/// hidden].
at::Tensor embed(const at::Tensor& tokens, int64_t sequence, const Embedding& embedding,
                 int64_t begin = 0);

/// Adds `gradient` [batch·sequence, hidden] of the result to the gradients of the rows used.
void embed_backward(const at::Tensor& tokens, int64_t sequence, const at::Tensor& gradient,
                    const Embedding& embedding);

}  // namespace rondo
