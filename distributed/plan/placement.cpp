#include "distributed/plan/placement.h"

#include <fmt/format.h>

#include <array>
#include <map>
#include <set>

#include "model/definition/families.h"
#include "model/definition/model_definition.h"

namespace rondo {

int Placement::rank_of(int chunk) const {
  if (!ranks.empty()) return ranks[static_cast<size_t>(chunk)];
  const int position = chunk % pipeline;
  const bool plus = route[static_cast<size_t>(chunk / pipeline)] == '+';
  return plus ? position : pipeline - 1 - position;
}

std::vector<int> Placement::chunks_of(int rank) const {
  std::vector<int> list;
  for (int k = 0; k < chunks(); ++k) {
    if (rank_of(k) == rank) list.push_back(k);
  }
  return list;
}

std::vector<int> share_cuts(const Placement& placement, Chunk middle, int depth, int unit,
                            const std::vector<int>& weights) {
  const int units = (middle.end - middle.begin) / unit;
  const int passes = placement.passes();
  std::vector<int64_t> below(1, 0);  // weights of the ranks below each
  for (int weight : weights) below.push_back(below.back() + weight);
  std::vector<int> cuts;
  for (int v = 0; v < passes; ++v) {
    const int first = v * units / passes;
    const int length = (v + 1) * units / passes - first;
    const bool plus = placement.route[static_cast<size_t>(v)] == '+';
    for (size_t j = 0; j < weights.size(); ++j) {
      const int64_t share = length * below[plus ? j : weights.size() - j];
      const int64_t part = (2 * share + below.back()) / (2 * below.back());  // rounded
      cuts.push_back(middle.begin + unit * (first + static_cast<int>(plus ? part : length - part)));
    }
  }
  cuts.front() = 0;
  cuts.push_back(2 * depth);
  return cuts;
}

namespace {

/// The definition as far as it decides which components there are between the ends of the model.
ModelDefinition middle_of(const ModelParts& model) {
  ModelDefinition middle;
  middle.sharing = model.map;
  middle.relaxation_rank = model.adapters ? 1 : 0;
  middle.executed = model.layers;
  middle.spec.pass_norm = model.pass_norm;
  middle.spec.pass_encoding = model.pass_encoding;
  middle.spec.branch_scales = model.branch_scales;
  return middle;
}

}  // namespace

std::vector<std::string> components_of(const ModelParts& model, Chunk chunk) {
  std::set<std::string> found;
  const ModelDefinition middle = middle_of(model);
  for (int half = chunk.begin; half < chunk.end; ++half) {
    for (const Component& component : components_of(middle, half)) {
      found.insert(to_string(component));
    }
  }
  if (chunk.embeds) {
    found.insert("embedding");
    if (model.learned_positions) found.insert("positions");
  }
  if (chunk.heads) {
    found.insert("final_norm");
    found.insert(model.tied_embeddings ? "embedding" : "head");
  }
  return {found.begin(), found.end()};
}

ModelParts parts_of(const ModelSpec& model, const SharingMap& map, int64_t relaxation_rank) {
  return {.map = map,
          .tied_embeddings = model.tie_embeddings,
          .adapters = relaxation_rank > 0,
          .learned_positions = !block_parts(model).rotary,
          .whole_layers = block_parts(model).parallel_residual,
          .pass_norm = model.pass_norm,
          .pass_encoding = model.pass_encoding,
          .branch_scales = model.branch_scales};
}

std::vector<std::string> all_components(const ModelParts& model) {
  std::vector<std::string> list = {"embedding"};
  if (model.learned_positions) list.push_back("positions");
  for (const Component& component : components(middle_of(model))) {
    const bool within = component.kind != Kind::embedding && component.kind != Kind::positions &&
                        component.kind != Kind::final_norm && component.kind != Kind::head;
    if (within) list.push_back(to_string(component));
  }
  list.push_back("final_norm");
  if (!model.tied_embeddings) list.push_back("head");
  return list;
}

std::vector<ComponentRanks> component_ranks(const ModelParts& model, const Placement& placement) {
  std::map<std::string, std::set<int>> holders;
  for (int k = 0; k < placement.chunks(); ++k) {
    for (const std::string& component : components_of(model, placement.chunk(k))) {
      holders[component].insert(placement.rank_of(k));
    }
  }
  std::vector<ComponentRanks> list;
  for (const std::string& component : all_components(model)) {
    const std::set<int>& ranks = holders.at(component);
    list.push_back({component, {ranks.begin(), ranks.end()}});
  }
  return list;
}

std::vector<std::string> copies(const ModelParts& model, const Placement& placement) {
  std::vector<std::string> list;
  for (const auto& [component, ranks] : component_ranks(model, placement)) {
    if (ranks.size() > 1) list.push_back(component);
  }
  return list;
}

}  // namespace rondo
