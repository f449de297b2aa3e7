#include "model/definition/pass_worth.h"

#include <cmath>
#include <map>

#include "model/definition/parameters.h"
#include "model/definition/recurrence.h"

namespace rondo {

double LoopSize::equivalent(double exponent) const {
  return once + std::pow(passes, exponent) * recurring;
}

std::optional<LoopSize> loop_size(const ModelDefinition& model) {
  const std::optional<Recurrence> found = recurrence(model.sharing);
  if (!found) return std::nullopt;
  std::map<Component, int> uses;
  for (int half = 0; half < half_layers(model); ++half) {
    for (const Component& component : components_of(model, half)) ++uses[component];
  }
  LoopSize size{.passes = found->passes};
  for (const auto& [component, count] : uses) {
    double elements = 0.0;
    for (const ParameterSpec& parameter : parameters_of(model, component)) {
      elements += static_cast<double>(parameter.count());
    }
    (count > 1 ? size.recurring : size.once) += elements;
  }
  return size;
}

ModelDefinition unshared(const ModelDefinition& model, int depth) {
  ModelSpec spec = model.spec;
  spec.depth = depth;
  spec.pass_norm = "none";
  if (depth != model.spec.depth) {  // which layers have a window goes by their number
    spec.window = 0;
    spec.window_layers = "all";
  }
  spec.pass_encoding = false;
  spec.branch_scales = false;
  return {spec, make_sharing_map({.strategy = "none"}, depth)};
}

int64_t cached_elements(const ModelDefinition& model) {
  return 2 * model.spec.kv_heads * model.spec.head_dim * model.depth();
}

}  // namespace rondo
