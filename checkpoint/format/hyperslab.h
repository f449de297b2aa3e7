// Flat ranges of an array as boxes.
#pragma once

#include <cstdint>
#include <vector>

namespace rondo {

/// Part of a row-major array that is a box: `start` and `count` have one entry per axis.
struct Hyperslab {
  std::vector<int64_t> start;
  std::vector<int64_t> count;
};

/// The flat element range [begin, begin + count) of a row-major array of `shape` as boxes, in flat
/// order: at most 2·axes − 1 of them.
std::vector<Hyperslab> hyperslabs(const std::vector<int64_t>& shape, int64_t begin, int64_t count);

}  // namespace rondo
