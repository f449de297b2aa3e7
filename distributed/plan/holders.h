// From pipeline ranks to world ranks.
#pragma once

#include <string>
#include <vector>

#include "distributed/plan/placement.h"
#include "distributed/plan/replica_groups.h"
#include "distributed/plan/uses.h"

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

/// Components that lie in one flat buffer: the same world ranks hold them, and where that is more
/// than one, the same chunks use them, so that their gradients become final, and are summed,
/// together.
struct BufferGroup {
  std::vector<std::string> components;  ///< in `parameter_list` order
  std::vector<int> chunks;              ///< that use them, ascending
  std::vector<int> ranks;               ///< that hold them, of every pipeline, ascending
  bool operator==(const BufferGroup&) const = default;
};

/// A group before its components are named: a placement is priced by these.
struct Holding {
  std::vector<int> bundles = {};  ///< of `Uses`, ascending
  std::vector<int> chunks = {};   ///< as in BufferGroup
  std::vector<int> ranks = {};
};

/// In the order of their first bundles.
std::vector<Holding> holdings(const Uses& uses, const Placement& placement, int replicas);

/// The groups of these, in the same order.
std::vector<BufferGroup> named(const std::vector<Holding>& holdings, const Uses& uses);

/// All components, each once; ordered by first component.
std::vector<BufferGroup> buffer_groups(const ModelParts& model, const Placement& placement,
                                       int replicas);

/// The groups with the world ranks that hold them, in the same order.
std::vector<ReplicaGroup> on_world_ranks(const std::vector<BufferGroup>& groups,
                                         const Placement& placement, int replicas);

}  // namespace rondo
