#include "data/dataset/permutation.h"

#include <bit>

#include "base/splitmix64.h"

namespace rondo {
namespace {

constexpr int rounds = 6;

}  // namespace

uint64_t permute(uint64_t index, uint64_t n, uint64_t key) {
  const int half_bits = (std::bit_width(n - 1) + 1) / 2;
  const uint64_t half_mask = (uint64_t{1} << half_bits) - 1;
  do {
    uint64_t left = index >> half_bits;
    uint64_t right = index & half_mask;
    for (uint64_t round = 0; round < rounds; ++round) {
      const uint64_t mixed = left ^ (splitmix64(splitmix64(key + round) ^ right) & half_mask);
      left = right;
      right = mixed;
    }
    index = left << half_bits | right;
  } while (index >= n);
  return index;
}

}  // namespace rondo
