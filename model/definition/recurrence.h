// What of a sharing map comes again and again.
#pragma once

#include <optional>

#include "model/definition/sharing_map.h"

namespace rondo {

/// Layers that come again: `passes` times the same `period` layers, between layers of their own.
struct Recurrence {
  int prelude = 0;
  int period = 1;
  int passes = 1;
  int coda = 0;
  bool operator==(const Recurrence&) const = default;
};

/// Of the slots that are shared at all. Nothing where the map does not repeat at least twice.
std::optional<Recurrence> recurrence(const SharingMap& map);

}  // namespace rondo
