// Which components the same ranks hold, and which ranks of the world those are.
#pragma once

#include <cstdint>
#include <vector>

#include "distributed/plan/placement.h"
#include "distributed/plan/uses.h"

namespace rondo {

/// Whose ranks come one after the other. Launchers fill a node with consecutive ranks, so that
/// these share one: the stages of a pipeline, who exchange activations, or the replicas of a stage,
/// who sum gradients.
enum class Neighbours : uint8_t { stages, replicas };

/// World = P pipeline ranks × R data replicas.
struct WorldLayout {
  int pipeline = 1;
  int replicas = 1;
  Neighbours neighbours = Neighbours::stages;

  int world_rank(int replica, int pipeline_rank) const {
    return neighbours == Neighbours::stages ? replica * pipeline + pipeline_rank
                                            : pipeline_rank * replicas + replica;
  }
  int pipeline_rank(int world_rank) const {
    return neighbours == Neighbours::stages ? world_rank % pipeline : world_rank / replicas;
  }
  int replica(int world_rank) const {
    return neighbours == Neighbours::stages ? world_rank / pipeline : world_rank % replicas;
  }

  /// Whether pipeline ranks a and b share a node in every replica.
  bool share_node(int a, int b, int ranks_per_node) const;
  /// How many replicas of a pipeline rank share a node, at least one.
  int replicas_on_node(int ranks_per_node) const;
  bool operator==(const WorldLayout&) const = default;
};

/// Components that lie in one flat buffer: the same ranks hold them, and where that is more than
/// one of the world, the same chunks use them, so that their gradients become final, and are
/// summed, together.
struct ComponentGroup {
  std::vector<Component> components = {};  ///< in the model's order
  int64_t elements = 0;                    ///< of all, each component padded
  std::vector<int> chunks = {};            ///< that use them, ascending
  std::vector<int> pipeline_ranks = {};    ///< that hold them in every pipeline, ascending
  WorldLayout layout = {};

  /// Elements of the flat buffer, which every member has a whole part of: as `ComponentStore` lays
  /// it out.
  int64_t buffer_elements() const;
  /// How many world ranks hold them.
  int64_t members() const { return static_cast<int64_t>(pipeline_ranks.size()) * layout.replicas; }
  /// The same ranks themselves, ascending. Worked out when asked
  /// for: the planner prices placements of groups on thousands of ranks.
  std::vector<int> world_ranks() const;
  /// Whether a step that runs these chunks sums their gradients: some other rank has a part of it.
  /// What no trained chunk uses has no gradient.
  bool summed(const Placement& placement) const;

  bool operator==(const ComponentGroup&) const = default;
};

/// All components, each in one group; ordered by first component.
std::vector<ComponentGroup> groups_of(const Uses& uses, const Placement& placement,
                                      const WorldLayout& layout);

/// The same groups as the chunks of another placement of `model`'s layers use them.
std::vector<ComponentGroup> regrouped(std::vector<ComponentGroup> groups,
                                      const ModelDefinition& model, const Placement& placement);

/// A component and the pipeline ranks that hold it, ascending.
struct Holders {
  Component component;
  std::vector<int> pipeline_ranks;
};

/// Who holds what, in the model's order of components.
std::vector<Holders> holders(const ModelDefinition& model,
                             const std::vector<ComponentGroup>& groups);

}  // namespace rondo
