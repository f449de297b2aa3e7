#include "distributed/plan/group.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <map>
#include <numeric>
#include <utility>

#include "model/definition/parameters.h"

namespace rondo {

bool WorldLayout::share_node(int a, int b, int ranks_per_node) const {
  if (std::abs(world_rank(0, a) - world_rank(0, b)) >= ranks_per_node) return false;
  // Where a pipeline begins in its node repeats after so many replicas.
  const int different = ranks_per_node / std::gcd(pipeline, ranks_per_node);
  const int looked_at = neighbours == Neighbours::stages ? std::min(replicas, different) : replicas;
  for (int r = 0; r < looked_at; ++r) {
    if (world_rank(r, a) / ranks_per_node != world_rank(r, b) / ranks_per_node) return false;
  }
  return true;
}

int WorldLayout::replicas_on_node(int ranks_per_node) const {
  const int near = neighbours == Neighbours::stages ? ranks_per_node / pipeline : ranks_per_node;
  return std::clamp(near, 1, replicas);
}

int64_t ComponentGroup::buffer_elements() const {
  return round_up(elements, component_alignment * members());
}

std::vector<int> ComponentGroup::world_ranks() const {
  std::vector<int> list;
  for (int replica = 0; replica < layout.replicas; ++replica) {
    for (int rank : pipeline_ranks) list.push_back(layout.world_rank(replica, rank));
  }
  std::sort(list.begin(), list.end());
  return list;
}

bool ComponentGroup::summed(const Placement& placement) const {
  return members() > 1 && std::any_of(chunks.begin(), chunks.end(),
                                      [&](int k) { return placement.chunk(k).trained; });
}

namespace {

/// Finds the group of what the same chunks, or the same rank, hold.
class Grouping {
 public:
  Grouping(const Uses& uses, const Placement& placement, const WorldLayout& layout)
      : uses_(uses),
        placement_(placement),
        layout_(layout),
        of_rank_(static_cast<size_t>(placement.pipeline), none),
        of_chunk_(placement.chunks.size(), none),
        kept_(of_chunk_.size(), false) {}

  /// `chunks`: that use it, ascending.
  void add(const Uses::Bundle& bundle, const std::vector<int>& chunks) {
    const int rank = placement_.rank_of(chunks.front());
    const bool held_once = std::all_of(chunks.begin(), chunks.end(),
                                       [&](int k) { return placement_.rank_of(k) == rank; });
    const bool summed = layout_.replicas > 1 || !held_once;
    if (!summed) {
      for (int k : chunks) kept_[k] = true;
    }
    size_t& at = !summed             ? of_rank_[rank]
                 : chunks.size() > 1 ? of_chunks_.try_emplace(chunks, none).first->second
                                     : of_chunk_[chunks.front()];
    if (at == none) {
      at = list_.size();
      list_.push_back({.chunks = summed ? chunks : std::vector<int>(),
                       .pipeline_ranks = ranks_of(chunks),
                       .layout = layout_});
      components_.emplace_back();
    }
    list_[at].elements += bundle.elements;
    std::vector<int>& own = components_[at];
    own.insert(own.end(), bundle.components.begin(), bundle.components.end());
  }

  std::vector<ComponentGroup> groups() {
    for (size_t k = 0; k < kept_.size(); ++k) {
      if (!kept_[k]) continue;
      const auto rank = static_cast<size_t>(placement_.chunks[k].rank);
      list_[of_rank_[rank]].chunks.push_back(static_cast<int>(k));
    }
    for (size_t g = 0; g < list_.size(); ++g) {
      std::sort(components_[g].begin(), components_[g].end());
      list_[g].components.reserve(components_[g].size());
      for (int c : components_[g]) {
        list_[g].components.push_back(uses_.components[c]);
      }
    }
    return std::move(list_);
  }

 private:
  static constexpr size_t none = std::numeric_limits<size_t>::max();

  std::vector<int> ranks_of(const std::vector<int>& chunks) const {
    std::vector<int> ranks;
    for (int k : chunks) ranks.push_back(placement_.rank_of(k));
    std::sort(ranks.begin(), ranks.end());
    ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
    return ranks;
  }

  const Uses& uses_;
  const Placement& placement_;
  WorldLayout layout_;
  std::vector<size_t> of_rank_;                   ///< the group that only this rank holds
  std::vector<size_t> of_chunk_;                  ///< the summed group that only this chunk uses
  std::map<std::vector<int>, size_t> of_chunks_;  ///< summed groups of several chunks
  std::vector<bool> kept_;  ///< chunks that use something that only their rank holds
  std::vector<ComponentGroup> list_;
  std::vector<std::vector<int>> components_;  ///< of each group: indices into those of `uses_`
};

}  // namespace

std::vector<ComponentGroup> groups_of(const Uses& uses, const Placement& placement,
                                      const WorldLayout& layout) {
  const std::vector<int> chunk_of = chunks_of_halves(placement, uses.halves());
  Grouping grouping(uses, placement, layout);
  std::vector<int> chunks;
  for (const Uses::Bundle& bundle : uses.bundles) {
    chunks.clear();
    for (int half : bundle.halves) {
      const int k = chunk_of[static_cast<size_t>(half) + 1];
      if (chunks.empty() || chunks.back() != k) chunks.push_back(k);
    }
    grouping.add(bundle, chunks);
  }
  return grouping.groups();
}

std::vector<ComponentGroup> regrouped(std::vector<ComponentGroup> groups,
                                      const ModelDefinition& model, const Placement& placement) {
  std::map<Component, size_t> group_of;
  for (size_t g = 0; g < groups.size(); ++g) {
    groups[g].chunks.clear();
    for (const Component& component : groups[g].components) group_of[component] = g;
  }
  for (int k = 0; k < placement.size(); ++k) {
    for (const Component& component : components_of(model, placement.chunk(k))) {
      std::vector<int>& chunks = groups[group_of.at(component)].chunks;
      if (chunks.empty() || chunks.back() != k) chunks.push_back(k);
    }
  }
  return groups;
}

std::vector<Holders> holders(const ModelDefinition& model,
                             const std::vector<ComponentGroup>& groups) {
  std::map<Component, const ComponentGroup*> group_of;
  for (const ComponentGroup& group : groups) {
    for (const Component& component : group.components) group_of[component] = &group;
  }
  std::vector<Holders> list;
  for (const Component& component : components(model)) {
    list.push_back({component, group_of.at(component)->pipeline_ranks});
  }
  return list;
}

}  // namespace rondo
