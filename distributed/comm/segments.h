// Which bytes of a buffer travel when, and how they are added up.
#pragma once

#include <cstddef>
#include <cstdint>

#include "distributed/comm/communicator.h"

namespace rondo {

/// A run of bytes; not owned.
struct Bytes {
  std::byte* data = nullptr;
  int64_t size = 0;
};

Bytes bytes_of(const Buffer& buffer);

/// Segment `index` of `bytes` in segments of `segment` bytes; empty after its end.
Bytes segment_of(Bytes bytes, int64_t segment, int64_t index);

int64_t segments_in(Bytes bytes, int64_t segment);

/// Part `index` of the parts, equal but for one element, that `size` ranks have in `buffer`.
Bytes part_of(const Buffer& buffer, int index, int size);

/// Adds `bytes` bytes of elements to those at `to`.
using Add = void (*)(std::byte* to, const std::byte* from, int64_t bytes);

/// Throws std::invalid_argument unless `type` is one that can be summed.
Add add_of(ElementType type);

}  // namespace rondo
