// Which world ranks hold which components: the sets that one reduction runs over.
#pragma once

#include <string>
#include <vector>

namespace rondo {

/// A component and the world ranks that hold it, ascending.
struct ComponentHolders {
  std::string component;
  std::vector<int> world_ranks;
};

/// Components with the same holders: they share one flat buffer, one reduction and one
/// communicator.
struct ReplicaGroup {
  std::vector<int> world_ranks;
  std::vector<std::string> components;
  bool operator==(const ReplicaGroup&) const = default;
};

/// One group per distinct set of holders, ordered by the first component that has it; every rank
/// computes the same list from the same input, and reduces in its order.
std::vector<ReplicaGroup> replica_groups(const std::vector<ComponentHolders>& holders);

}  // namespace rondo
