// How sums travel, for whoever makes them and whoever prices them.
#pragma once

#include <cstdint>

namespace rondo {

/// Sums of at most this many bytes go through a tree (2·log n messages), larger ones around a ring.
inline constexpr int64_t tree_bytes = 32 << 10;

}  // namespace rondo
