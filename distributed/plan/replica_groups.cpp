#include "distributed/plan/replica_groups.h"

#include <algorithm>

namespace rondo {

std::vector<ReplicaGroup> replica_groups(const std::vector<ComponentHolders>& holders) {
  std::vector<ReplicaGroup> groups;
  for (const auto& [component, ranks] : holders) {
    const auto same_ranks = [&ranks = ranks](const ReplicaGroup& group) {
      return group.world_ranks == ranks;
    };
    auto group = std::find_if(groups.begin(), groups.end(), same_ranks);
    if (group == groups.end()) group = groups.insert(groups.end(), {ranks, {}});
    group->components.push_back(component);
  }
  return groups;
}

}  // namespace rondo
