#include "model/definition/recurrence.h"

#include <algorithm>

namespace rondo {
namespace {

/// Slots in which some layers share.
std::vector<Slot> shared_slots(const SharingMap& map) {
  std::vector<Slot> slots;
  for (Slot slot : all_slots) {
    if (map.unique(slot) < map.depth()) slots.push_back(slot);
  }
  return slots;
}

/// Whether a component of the layer is used by another layer too.
bool shares(const SharingMap& map, int layer) {
  return std::any_of(all_slots.begin(), all_slots.end(), [&](Slot slot) {
    const auto& ids = map.of(slot);
    return std::count(ids.begin(), ids.end(), map.id(slot, layer)) > 1;
  });
}

bool repeats(const SharingMap& map, int begin, int end, int period) {
  const std::vector<Slot> slots = shared_slots(map);
  for (int layer = begin; layer + period < end; ++layer) {
    for (Slot slot : slots) {
      if (map.id(slot, layer) != map.id(slot, layer + period)) return false;
    }
  }
  return true;
}

}  // namespace

std::optional<Recurrence> recurrence(const SharingMap& map) {
  int begin = 0;
  int end = map.depth();
  while (begin < end && !shares(map, begin)) ++begin;
  while (end > begin && !shares(map, end - 1)) --end;
  for (int period = 1; 2 * period <= end - begin; ++period) {
    if ((end - begin) % period != 0 || !repeats(map, begin, end, period)) continue;
    return Recurrence{begin, period, (end - begin) / period, map.depth() - end};
  }
  return std::nullopt;
}

}  // namespace rondo
