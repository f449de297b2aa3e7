// From pipeline ranks to world ranks.
#pragma once

#include <vector>

#include "distributed/plan/placement.h"
#include "distributed/plan/replica_groups.h"

namespace rondo {

/// World = P pipeline ranks × R data replicas; world rank = replica · P + pipeline rank. Launchers
/// fill a node with consecutive ranks, so the neighbours of a pipeline, who exchange activations
/// many times a step, share a node, and replicas, who reduce once a step, are spread over nodes.
struct WorldLayout {
  int pipeline = 1;
  int replicas = 1;

  int world_rank(int replica, int pipeline_rank) const {
    return replica * pipeline + pipeline_rank;
  }
  int pipeline_rank(int world_rank) const { return world_rank % pipeline; }
  int replica(int world_rank) const { return world_rank / pipeline; }

  /// Whether pipeline ranks a and b share a node in every replica.
  bool share_node(int a, int b, int ranks_per_node) const;
};

/// Every replica of every pipeline rank that uses a component holds it; in `parameter_list` order.
std::vector<ComponentHolders> component_holders(const ModelParts& model, const Placement& placement,
                                                int replicas);

}  // namespace rondo
