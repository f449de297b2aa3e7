// A keyed shuffle of [0, n) that needs no memory.
#pragma once

#include <cstdint>

namespace rondo {

/// Where `index` (< n, 1 <= n <= 2^62) goes in the shuffle of [0, n) that `key` names. A Feistel
/// network over the next even power of two, walked until it lands inside (Black, Rogaway 2002); a
/// bijection for every key.
uint64_t permute(uint64_t index, uint64_t n, uint64_t key);

}  // namespace rondo
