// A checksum that ranks compute over their own slices and add up.
#pragma once

#include <cstdint>

namespace rondo {

/// Sum modulo 2^64, over `count` elements of `element_bytes` (1, 4 or 8), of a hash of an element's
/// position in the dataset (`begin` is the first one's) and its bits. The checksum of a dataset is
/// the sum of those of any slices that cover it once, in any order.
uint64_t checksum(const void* values, int64_t element_bytes, int64_t begin, int64_t count);

}  // namespace rondo
