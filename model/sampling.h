// Which token comes next.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <random>

namespace rondo {

struct Sampling {
  double temperature = 0.0;  ///< logits are divided by it; 0: always the likeliest token
  /// Nucleus sampling (Holtzman et al., arXiv 1904.09751): only the likeliest tokens, the fewest
  /// whose probabilities sum to at least this, in (0, 1].
  double top_p = 1.0;
};

/// logits [vocab] → a token id; the same for the same state of `generator` on every machine.
int64_t choose_token(const at::Tensor& logits, const Sampling& sampling,
                     std::mt19937_64& generator);

}  // namespace rondo
