// Every parameter tensor of a model, by component, once. Values: the store allocates from them, the
// planner prices them, the checkpoint names its datasets after them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/definition/model_definition.h"

namespace rondo {

/// One tensor of one component.
struct ParameterSpec {
  Component component = {};
  std::string name = {};            ///< "q_proj/weight", "weight", "q_proj/a", …
  std::vector<int64_t> shape = {};  ///< row-major; linears are [out, in]
  Role role = Role::matrix;
  StartValue start = {};

  /// "attention/3/q_proj/weight": the key of the tensor everywhere, and its dataset's name below
  /// `/parameters` in a checkpoint.
  std::string path() const { return to_string(component) + "/" + name; }
  int64_t count() const;
  /// Whether the optimizer's weight decay applies.
  bool decays() const { return role == Role::matrix || role == Role::embedding; }
};

/// The tensors of one component. Tensors of a kind that are used together lie next to each other,
/// so that neighbours can be used as one.
std::vector<ParameterSpec> parameters_of(const ModelDefinition& model, const Component& component);

/// Those of all components(), in their order.
std::vector<ParameterSpec> parameters(const ModelDefinition& model);

/// In elements: components begin, and members' parts end, at multiples of it in a flat buffer. A
/// 64-byte line of any element type.
inline constexpr int64_t component_alignment = 32;

/// The least multiple of `step` that is no less than `n`.
constexpr int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

/// Elements of all parameters of each component.
std::map<Component, int64_t> component_elements(const ModelDefinition& model);

/// Counts that cannot be confused.
struct ParameterCounts {
  int64_t unique = 0;                ///< each component once: what is stored and optimised
  int64_t executed = 0;              ///< each layer's weights as often as they are used
  int64_t unique_non_embedding = 0;  ///< `unique` without embedding, positions and head
};
ParameterCounts count_parameters(const ModelDefinition& model);

/// Floating point operations of forward and backward for one token at the given sequence length,
/// counted by executed layers: 6 per executed matrix weight plus causal attention
/// (2·S·heads·head_dim multiply-adds a layer halved by the mask), the PaLM convention (arXiv
/// 2204.02311, appendix B).
double flops_per_token(const ModelDefinition& model, int64_t sequence);

}  // namespace rondo
