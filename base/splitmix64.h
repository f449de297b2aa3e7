// A mixing function for keys of shuffles and hashes.
#pragma once

#include <cstdint>

namespace rondo {

/// The next output of a SplitMix64 generator in state `x` (Steele, Lea, Flood 2014).
constexpr uint64_t splitmix64(uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

}  // namespace rondo
