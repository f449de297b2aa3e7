#include "distributed/plan/uses.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "model/definition/families.h"
#include "model/definition/parameters.h"

namespace rondo {
namespace {

/// Most components of any slot in the layers [begin, end).
Stretch stretch(const SharingMap& map, int begin, int end) {
  size_t most = 0;
  for (Slot slot : map.slots()) {
    const auto first = map.of(slot).begin();
    most = std::max(most, std::set<int>(first + begin, first + end).size());
  }
  return {begin, end, static_cast<int>(most)};
}

/// Without the layers at either end whose weights nothing else uses (prelude and coda).
Stretch shared_middle(const SharingMap& map) {
  std::map<Slot, std::map<int, int>> uses;
  for (Slot slot : map.slots()) {
    for (int id : map.of(slot)) ++uses[slot][id];
  }
  const std::vector<Slot> slots = map.slots();
  const auto shared = [&](int layer) {
    return std::any_of(slots.begin(), slots.end(),
                       [&](Slot slot) { return uses.at(slot).at(map.id(slot, layer)) > 1; });
  };
  int begin = 0;
  int end = map.depth();
  while (begin < end && !shared(begin)) ++begin;
  while (end > begin && !shared(end - 1)) --end;
  return stretch(map, begin, end);
}

/// The halves that use each component; −1: the embedding, one more than the last: the head.
std::map<Component, std::vector<int>> halves_by_component(const ModelDefinition& model) {
  std::map<Component, std::vector<int>> halves;
  const auto add = [&](int half, const std::vector<Component>& list) {
    for (const Component& component : list) {
      std::vector<int>& own = halves[component];
      if (own.empty() || own.back() != half) own.push_back(half);
    }
  };
  const int count = half_layers(model);
  add(-1, entrance_components(model));
  for (int half = 0; half < count; ++half) add(half, components_of(model, half));
  add(count, exit_components(model));
  return halves;
}

}  // namespace

Uses uses_of(const ModelDefinition& model) {
  Uses uses{.components = components(model),
            .layers = model.depth(),
            .branches = static_cast<int>(model.branches.size()),
            .whole_layers = block_parts(model.spec).parallel_residual,
            .whole = stretch(model.sharing, 0, model.sharing.depth()),
            .middle = shared_middle(model.sharing)};
  const std::map<Component, int64_t> elements = component_elements(model);
  const std::map<Component, std::vector<int>> halves = halves_by_component(model);
  std::map<std::vector<int>, size_t> found;
  for (size_t c = 0; c < uses.components.size(); ++c) {
    const std::vector<int>& own = halves.at(uses.components[c]);
    const auto [at, added] = found.emplace(own, uses.bundles.size());
    if (added) uses.bundles.push_back({{}, own});
    Uses::Bundle& bundle = uses.bundles[at->second];
    bundle.components.push_back(static_cast<int>(c));
    bundle.elements += round_up(elements.at(uses.components[c]), component_alignment);
  }
  return uses;
}

std::vector<int> chunks_of_halves(const Placement& placement, int halves) {
  std::vector<int> list = {0};
  list.reserve(static_cast<size_t>(halves) + 2);
  for (int k = 0; k < placement.size(); ++k) {
    list.resize(1 + static_cast<size_t>(placement.chunk(k).halves.end), k);
  }
  list.push_back(placement.size() - 1);
  return list;
}

int count_copies(const Uses& uses, const Placement& placement) {
  std::vector<int> ranks = chunks_of_halves(placement, uses.halves());
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
