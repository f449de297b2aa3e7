#include "checkpoint/format/checksum.h"

#include <cstring>

#include "base/splitmix64.h"

namespace rondo {
namespace {

/// A hash of one element: equal bits at two positions differ.
uint64_t hash(uint64_t position, uint64_t bits) {
  return mix_bits(bits + (position + 1) * splitmix64_step);
}

template <typename Bits>
[[gnu::always_inline]] inline uint64_t sum_of_hashes(const void* values, int64_t begin,
                                                     int64_t count) {
  const auto* bytes = static_cast<const char*>(values);
  uint64_t sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    Bits bits;
    std::memcpy(&bits, bytes + i * static_cast<int64_t>(sizeof(Bits)), sizeof(Bits));
    sum += hash(static_cast<uint64_t>(begin + i), bits);
  }
  return sum;
}

}  // namespace

// With AVX-512's product of 64-bit integers it is four times as fast: 10 GB/s of a core.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
__attribute__((target_clones("arch=x86-64-v4", "default")))
#endif
uint64_t
checksum(const void* values, int64_t element_bytes, int64_t begin, int64_t count) {
  return element_bytes == 8   ? sum_of_hashes<uint64_t>(values, begin, count)
         : element_bytes == 4 ? sum_of_hashes<uint32_t>(values, begin, count)
                              : sum_of_hashes<uint8_t>(values, begin, count);
}

}  // namespace rondo
