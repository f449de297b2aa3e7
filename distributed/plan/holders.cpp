#include "distributed/plan/holders.h"

namespace rondo {

bool WorldLayout::share_node(int a, int b, int ranks_per_node) const {
  for (int r = 0; r < replicas; ++r) {
    if (world_rank(r, a) / ranks_per_node != world_rank(r, b) / ranks_per_node) return false;
  }
  return true;
}

std::vector<ComponentHolders> component_holders(const ModelParts& model, const Placement& placement,
                                                int replicas) {
  const WorldLayout layout{placement.pipeline, replicas};
  std::vector<ComponentHolders> holders;
  for (const auto& [component, ranks] : component_ranks(model, placement)) {
    holders.push_back({component, {}});
    for (int replica = 0; replica < replicas; ++replica) {
      for (int rank : ranks) holders.back().world_ranks.push_back(layout.world_rank(replica, rank));
    }
  }
  return holders;
}

}  // namespace rondo
