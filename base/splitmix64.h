// A mixing function for keys of shuffles and hashes.
#pragma once

#include <cstdint>

namespace rondo {

/// The golden gamma: SplitMix64 adds it to its state before each output (Steele, Lea and Flood,
/// "Fast splittable pseudorandom number generators", OOPSLA 2014).
inline constexpr uint64_t splitmix64_step = 0x9E3779B97F4A7C15;

/// Its finaliser: every bit of `x` changes about half of the result's.
constexpr uint64_t mix_bits(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

/// The next output of a SplitMix64 generator in state `x`.
constexpr uint64_t splitmix64(uint64_t x) { return mix_bits(x + splitmix64_step); }

}  // namespace rondo
