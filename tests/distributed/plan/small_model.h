// Models of which only the shape matters.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "distributed/plan/group.h"
#include "distributed/plan/route.h"

namespace rondo {

/// Of layers that share as the map says; adapters are of rank 1.
inline ModelDefinition small_model(const SharingMap& map, bool tied = false,
                                   bool adapters = false) {
  ModelDefinition model;
  model.spec.hidden = model.spec.head_dim = model.spec.ffn = model.spec.vocab = 4;
  model.spec.heads = model.spec.kv_heads = 1;
  model.spec.depth = map.depth();
  model.spec.tie_embeddings = tied;
  model.sharing = map;
  model.relaxation_rank = adapters ? 1 : 0;
  return model;
}

inline std::vector<ComponentGroup> groups_of(const ModelDefinition& model,
                                             const Placement& placement, int replicas) {
  return groups_of(uses_of(model), placement, {placement.pipeline, replicas});
}

/// The groups that several world ranks hold, numbered alone.
inline std::vector<ComponentGroup> summed_groups(const ModelDefinition& model,
                                                 const Placement& placement, int replicas) {
  std::vector<ComponentGroup> list = groups_of(model, placement, replicas);
  std::erase_if(list, [&](const ComponentGroup& group) { return !group.summed(placement); });
  return list;
}

/// The pipeline ranks of every component, by name.
inline std::map<std::string, std::vector<int>> ranks_by_component(const ModelDefinition& model,
                                                                  const Placement& placement) {
  std::map<std::string, std::vector<int>> found;
  for (const auto& [component, ranks] : holders(model, groups_of(model, placement, 1))) {
    found[to_string(component)] = ranks;
  }
  return found;
}

/// The names of the components that more than one pipeline rank holds.
inline std::vector<std::string> copies(const ModelDefinition& model, const Placement& placement) {
  std::vector<std::string> list;
  for (const auto& [component, ranks] : holders(model, groups_of(model, placement, 1))) {
    if (ranks.size() > 1) list.push_back(to_string(component));
  }
  return list;
}

}  // namespace rondo
