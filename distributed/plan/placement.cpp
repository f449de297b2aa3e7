#include "distributed/plan/placement.h"

#include <set>

namespace rondo {

std::vector<int> Placement::chunks_of(int rank) const {
  std::vector<int> list;
  for (int k = 0; k < size(); ++k) {
    if (rank_of(k) == rank) list.push_back(k);
  }
  return list;
}

std::vector<int> Placement::cuts() const {
  std::vector<int> list = {0};
  for (const Chunk& chunk : chunks) list.push_back(chunk.halves.end);
  return list;
}

Placement place(int pipeline, const std::vector<int>& cuts, const std::vector<int>& ranks) {
  Placement placement{.pipeline = pipeline};
  for (size_t k = 0; k < ranks.size(); ++k) {
    placement.chunks.push_back({{cuts[k], cuts[k + 1]}, ranks[k]});
  }
  placement.chunks.front().embeds = true;
  placement.chunks.back().ends_with_head = true;
  return placement;
}

std::vector<Component> components_of(const ModelDefinition& model, const Chunk& chunk) {
  std::set<Component> found;
  const auto add = [&](const std::vector<Component>& list) {
    found.insert(list.begin(), list.end());
  };
  for (int half = chunk.halves.begin; half < chunk.halves.end; ++half) {
    add(components_of(model, half));
  }
  if (chunk.embeds) add(entrance_components(model));
  if (chunk.ends_with_head) add(exit_components(model));
  return {found.begin(), found.end()};
}

}  // namespace rondo
