#include "distributed/ownership.h"

#include <algorithm>

namespace rondo {

Ownership ownership(int64_t elements, int64_t members, int64_t index, bool sharded) {
  const int64_t part = elements / members;
  const Range shard{part * index, part};
  return {shard, sharded ? shard : Range{0, elements}};
}

std::vector<TensorPart> parts_in(const FlatBuffer& buffer, Range range) {
  std::vector<TensorPart> parts;
  for (const FlatBuffer::Entry& entry : buffer.entries) {
    const int64_t first = std::max(entry.begin, range.begin);
    const int64_t last = std::min(entry.begin + entry.spec.count(), range.end());
    if (first < last) parts.push_back({&entry, first - entry.begin, last - first});
  }
  return parts;
}

}  // namespace rondo
