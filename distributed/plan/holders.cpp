#include "distributed/plan/holders.h"

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <utility>

namespace rondo {

bool WorldLayout::share_node(int a, int b, int ranks_per_node) const {
  // Where a pipeline begins in its node repeats after so many replicas.
  const int different = ranks_per_node / std::gcd(pipeline, ranks_per_node);
  for (int r = 0; r < std::min(replicas, different); ++r) {
    if (world_rank(r, a) / ranks_per_node != world_rank(r, b) / ranks_per_node) return false;
  }
  return true;
}

namespace {

/// Finds the group of what the same chunks, or the same rank, hold.
class Grouping {
 public:
  Grouping(const Placement& placement, int replicas)
      : replicated_(replicas > 1),
        of_rank_(static_cast<size_t>(placement.pipeline), none),
        of_chunk_(static_cast<size_t>(placement.chunks()), none),
        kept_(of_chunk_.size(), false) {
    for (int k = 0; k < placement.chunks(); ++k) rank_of_.push_back(placement.rank_of(k));
  }

  /// `chunks`: that use it, ascending.
  void add(int bundle, const std::vector<int>& chunks) {
    const int rank = rank_of_[static_cast<size_t>(chunks.front())];
    const bool held_once = std::all_of(chunks.begin(), chunks.end(), [&](int k) {
      return rank_of_[static_cast<size_t>(k)] == rank;
    });
    const bool summed = replicated_ || !held_once;
    if (!summed) {
      for (int k : chunks) kept_[static_cast<size_t>(k)] = true;
    }
    size_t& group = !summed             ? of_rank_[static_cast<size_t>(rank)]
                    : chunks.size() > 1 ? of_chunks_.try_emplace(chunks, none).first->second
                                        : of_chunk_[static_cast<size_t>(chunks.front())];
    if (group == none) {
      group = list_.size();
      list_.push_back({{}, summed ? chunks : std::vector<int>(), ranks_of(chunks)});
    }
    list_[group].bundles.push_back(bundle);
  }

  std::vector<Holding> groups() {
    for (size_t k = 0; k < kept_.size(); ++k) {
      if (!kept_[k]) continue;
      list_[of_rank_[static_cast<size_t>(rank_of_[k])]].chunks.push_back(static_cast<int>(k));
    }
    return std::move(list_);
  }

 private:
  static constexpr size_t none = std::numeric_limits<size_t>::max();

  std::vector<int> ranks_of(const std::vector<int>& chunks) const {
    std::vector<int> ranks;
    for (int k : chunks) ranks.push_back(rank_of_[static_cast<size_t>(k)]);
    std::sort(ranks.begin(), ranks.end());
    ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
    return ranks;
  }

  bool replicated_;
  std::vector<int> rank_of_;                      ///< by chunk
  std::vector<size_t> of_rank_;                   ///< the group that only this rank holds
  std::vector<size_t> of_chunk_;                  ///< the summed group that only this chunk uses
  std::map<std::vector<int>, size_t> of_chunks_;  ///< summed groups of several chunks
  std::vector<bool> kept_;  ///< chunks that use something that only their rank holds
  std::vector<Holding> list_;
};

}  // namespace

std::vector<Holding> holdings(const Uses& uses, const Placement& placement, int replicas) {
  const std::vector<int> chunk_of = chunks_of_halves(placement, uses.depth);
  Grouping grouping(placement, replicas);
  std::vector<int> chunks;
  for (size_t b = 0; b < uses.bundles.size(); ++b) {
    chunks.clear();
    for (int half : uses.bundles[b].halves) {
      const int k = chunk_of[static_cast<size_t>(half) + 1];
      if (chunks.empty() || chunks.back() != k) chunks.push_back(k);
    }
    grouping.add(static_cast<int>(b), chunks);
  }
  return grouping.groups();
}

std::vector<BufferGroup> named(const std::vector<Holding>& holdings, const Uses& uses) {
  std::vector<BufferGroup> list;
  for (const auto& [bundles, chunks, ranks] : holdings) {
    std::vector<int> components;
    for (int b : bundles) {
      const std::vector<int>& own = uses.bundles[static_cast<size_t>(b)].components;
      components.insert(components.end(), own.begin(), own.end());
    }
    std::sort(components.begin(), components.end());
    list.push_back({{}, chunks, ranks});
    for (int c : components) {
      list.back().components.push_back(uses.components[static_cast<size_t>(c)]);
    }
  }
  return list;
}

std::vector<BufferGroup> buffer_groups(const ModelParts& model, const Placement& placement,
                                       int replicas) {
  const Uses uses = uses_of(model);
  return named(holdings(uses, placement, replicas), uses);
}

std::vector<ReplicaGroup> on_world_ranks(const std::vector<BufferGroup>& groups,
                                         const Placement& placement, int replicas) {
  const WorldLayout layout{placement.pipeline, replicas};
  std::vector<ReplicaGroup> list;
  for (const BufferGroup& group : groups) {
    list.push_back({{}, group.components});
    for (int replica = 0; replica < replicas; ++replica) {
      for (int rank : group.ranks) {
        list.back().world_ranks.push_back(layout.world_rank(replica, rank));
      }
    }
  }
  return list;
}

}  // namespace rondo
