#include "distributed/plan/uses.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

namespace rondo {
namespace {

/// Most components of any slot in the half layers [begin, end).
Stretch stretch(const SharingMap& map, int begin, int end) {
  size_t most = 0;
  for (Slot slot : all_slots) {
    const auto first = map.of(slot).begin();
    most = std::max(most, std::set<int>(first + begin / 2, first + end / 2).size());
  }
  return {begin, end, static_cast<int>(most)};
}

/// Layers at either end whose weights nothing else uses (prelude and coda).
Stretch shared_middle(const SharingMap& map) {
  std::array<std::map<int, int>, 4> uses;
  for (Slot slot : all_slots) {
    for (int id : map.of(slot)) ++uses[static_cast<size_t>(slot.order)][id];
  }
  const auto shared = [&](int layer) {
    return std::any_of(all_slots.begin(), all_slots.end(), [&](Slot slot) {
      return uses[static_cast<size_t>(slot.order)].at(map.id(slot, layer)) > 1;
    });
  };
  int begin = 0;
  int end = map.depth();
  while (begin < end && !shared(begin)) ++begin;
  while (end > begin && !shared(end - 1)) --end;
  return stretch(map, 2 * begin, 2 * end);
}

}  // namespace

Uses uses_of(const ModelParts& model) {
  const int depth = model.map.depth();
  Uses uses{.components = all_components(model),
            .depth = depth,
            .whole_layers = model.whole_layers,
            .whole = stretch(model.map, 0, 2 * depth),
            .middle = shared_middle(model.map)};
  std::map<std::string, std::vector<int>> halves;
  const auto add = [&](int half, Chunk chunk) {
    for (const std::string& component : components_of(model, chunk)) {
      halves[component].push_back(half);
    }
  };
  add(-1, {0, 0, true, false});
  for (int half = 0; half < 2 * depth; ++half) add(half, {half, half + 1});
  add(2 * depth, {2 * depth, 2 * depth, false, true});
  std::map<std::vector<int>, size_t> found;
  for (size_t c = 0; c < uses.components.size(); ++c) {
    const std::vector<int>& own = halves.at(uses.components[c]);
    const auto [at, added] = found.emplace(own, uses.bundles.size());
    if (added) uses.bundles.push_back({{}, own});
    uses.bundles[at->second].components.push_back(static_cast<int>(c));
  }
  return uses;
}

std::vector<int> chunks_of_halves(const Placement& placement, int depth) {
  std::vector<int> list = {0};
  list.reserve(2 * static_cast<size_t>(depth) + 2);
  for (int k = 0; k < placement.chunks(); ++k) {
    list.resize(1 + static_cast<size_t>(placement.chunk(k).end), k);
  }
  list.push_back(placement.chunks() - 1);
  return list;
}

int count_copies(const Uses& uses, const Placement& placement) {
  std::vector<int> ranks = chunks_of_halves(placement, uses.depth);
  for (int& chunk : ranks) chunk = placement.rank_of(chunk);
  size_t copies = 0;
  for (const Uses::Bundle& bundle : uses.bundles) {
    const auto rank = [&](int half) { return ranks[static_cast<size_t>(half) + 1]; };
    const int first = rank(bundle.halves.front());
    const bool held_once = std::all_of(bundle.halves.begin(), bundle.halves.end(),
                                       [&](int half) { return rank(half) == first; });
    copies += held_once ? 0 : bundle.components.size();
  }
  return static_cast<int>(copies);
}

}  // namespace rondo
