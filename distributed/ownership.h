// Which part of a group's flat buffer each member answers for: what it updates, saves and loads.
#pragma once

#include <cstdint>
#include <vector>

#include "model/component_store.h"

namespace rondo {

/// Elements [begin, begin + count) of a flat buffer.
struct Range {
  int64_t begin = 0;
  int64_t count = 0;

  int64_t end() const { return begin + count; }
  bool operator==(const Range&) const = default;
};

/// The parts of a group's buffer that one member answers for.
struct Ownership {
  Range shard;    ///< its part alone: counted in the norm, written to checkpoints
  Range updated;  ///< what it updates, and needs of a checkpoint: the shard, or everything
};

/// The ownership of member `index`. Each of `members` has an equal shard of the `elements`, which
/// must be a multiple of `members`. With `sharded` optimizer state it updates its shard alone.
Ownership ownership(int64_t elements, int64_t members, int64_t index, bool sharded);

/// The part of one parameter tensor that lies in a range.
struct TensorPart {
  const FlatBuffer::Entry* entry;  ///< in the buffer that was asked
  int64_t begin = 0;               ///< first element of the tensor, row-major
  int64_t count = 0;

  Range in_buffer() const { return {entry->begin + begin, count}; }
};

/// In the order of the buffer; tensors outside of the range are left out.
std::vector<TensorPart> parts_in(const FlatBuffer& buffer, Range range);

}  // namespace rondo
