#include "distributed/plan/holders.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <utility>

namespace rondo {

bool WorldLayout::share_node(int a, int b, int ranks_per_node) const {
  for (int r = 0; r < replicas; ++r) {
    if (world_rank(r, a) / ranks_per_node != world_rank(r, b) / ranks_per_node) return false;
  }
  return true;
}

namespace {

std::vector<int> ranks_of(const std::vector<int>& chunks, const Placement& placement) {
  std::set<int> found;
  for (int chunk : chunks) found.insert(placement.rank_of(chunk));
  return {found.begin(), found.end()};
}

}  // namespace

std::vector<BufferGroup> buffer_groups(const ModelParts& model, const Placement& placement,
                                       int replicas) {
  std::map<std::string, std::vector<int>> users;
  for (int k = 0; k < placement.chunks(); ++k) {
    for (const std::string& component : components_of(model, placement.chunk(k))) {
      users[component].push_back(k);
    }
  }
  const auto key = [&](const BufferGroup& group) {
    const bool summed = replicas > 1 || group.ranks.size() > 1;
    return std::pair(group.ranks, summed ? group.chunks : std::vector<int>());
  };
  std::vector<BufferGroup> list;
  std::map<std::pair<std::vector<int>, std::vector<int>>, size_t> found;
  for (const std::string& component : all_components(model)) {
    const std::vector<int>& chunks_of = users.at(component);
    const BufferGroup alone{{component}, chunks_of, ranks_of(chunks_of, placement)};
    const auto [at, added] = found.emplace(key(alone), list.size());
    if (added) {
      list.push_back(alone);
      continue;
    }
    BufferGroup& group = list[at->second];
    group.components.push_back(component);
    std::vector<int> chunks;
    std::set_union(group.chunks.begin(), group.chunks.end(), alone.chunks.begin(),
                   alone.chunks.end(), std::back_inserter(chunks));
    group.chunks = chunks;
  }
  return list;
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
