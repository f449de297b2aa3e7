// Every parameter tensor of a model, by component, once. Plain data: the store allocates from it,
// the planner prices it, the checkpoint names its datasets after it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/definition/model_spec.h"
#include "model/definition/sharing_map.h"

namespace rondo {

/// One tensor of one component.
struct ParameterSpec {
  std::string component;       ///< "attention/3", "embedding", "adapters/7/attention", …
  std::string name;            ///< "q_proj/weight", "weight", "q_proj/a", …
  std::vector<int64_t> shape;  ///< row-major; linears are [out, in]

  /// "attention/3/q_proj/weight": the key of the tensor everywhere, and its dataset's name below
  /// `/parameters` in a checkpoint.
  std::string path() const { return component + "/" + name; }
  int64_t count() const;
};

/// Parameters in the one total order that every rank agrees on: embedding, learned positions, then
/// each slot's components by id, adapters by layer, final norm, head. `relaxation_rank` = 0 means
/// no adapters.
std::vector<ParameterSpec> parameter_list(const ModelSpec& model, const SharingMap& map,
                                          int64_t relaxation_rank);

/// Counts that cannot be confused.
struct ParameterCounts {
  int64_t unique = 0;                ///< each component once: what is stored and optimised
  int64_t executed = 0;              ///< each layer's weights as often as they are used
  int64_t unique_non_embedding = 0;  ///< `unique` without embedding, positions and head
};
ParameterCounts count_parameters(const ModelSpec& model, const SharingMap& map,
                                 int64_t relaxation_rank);

/// Floating point operations of forward and backward for one token at the given sequence length,
/// counted by executed layers: 6 per executed matrix weight plus causal attention
/// (2·S·heads·head_dim multiply-adds a layer halved by the mask), the PaLM convention (arXiv
/// 2204.02311, appendix B).
double flops_per_token(const ModelSpec& model, const SharingMap& map, int64_t relaxation_rank,
                       int64_t sequence);

}  // namespace rondo
