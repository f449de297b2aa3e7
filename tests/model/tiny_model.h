// A model small enough for finite differences, in float64.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <fmt/format.h>

#include <set>

#include "model/component_store.h"
#include "model/initial_values.h"
#include "model/stage.h"

namespace rondo {

inline ModelSpec tiny_spec(int64_t depth) {
  return {.hidden = 16,
          .depth = depth,
          .heads = 4,
          .kv_heads = 2,
          .head_dim = 4,
          .ffn = 24,
          .vocab = 13,
          .rope_theta = 100.0,
          .tie_embeddings = false};
}

inline ModelDefinition tiny_model(const SharingOptions& sharing, int depth, int64_t rank = 0) {
  return {tiny_spec(depth), make_sharing_map(sharing, depth), rank, "sum"};
}

inline double loss_of(const StageResult& result) {
  return result.losses.at(cross_entropy).item<double>();
}

/// One process that holds the whole model.
class TinyModel {
 public:
  explicit TinyModel(const ModelDefinition& definition, bool recompute = false,
                     const std::string& precision = "float64",
                     const HalfBuilders& builders = built_in_halves())
      : model(definition),
        store(parameters(), {{components(model), 1}}, Precision::parse(precision), at::kCPU),
        stage(model, store,
              {.halves = {0, half_layers(definition)},
               .sequence = sequence,
               .recompute = recompute,
               .builders = builders}) {}

  /// Well away from the small values of a start, so that every gradient is felt. Each tensor is
  /// drawn from its path, adapters' B included.
  void randomise() {
    const at::NoGradGuard no_grad;
    for (const ParameterSpec& spec : parameters()) {
      at::manual_seed(std::hash<std::string>()(spec.path()) % 100000);
      const at::Tensor noise = at::randn(spec.shape, at::kDouble) * 0.3;
      store.at(spec.path()).value.copy_(spec.shape.size() == 1 ? noise + 1.0 : noise);
    }
  }

  std::vector<ParameterSpec> parameters() const { return rondo::parameters(model); }

  /// Summed loss; its gradients are added to the store.
  double step(const Microbatch& batch, double scale = 1.0) {
    Stage::Tape tape;
    const double loss = loss_of(stage.forward(batch, {}, scale, tape));
    stage.backward({}, tape);
    return loss;
  }

  /// The same with the weight gradients apart.
  double step_in_halves(const Microbatch& batch, double scale = 1.0) {
    Stage::Tape tape;
    const double loss = loss_of(stage.forward(batch, {}, scale, tape));
    stage.backward_input({}, tape);
    Stage::backward_weight(tape);
    return loss;
  }

  at::Tensor gradient(const std::string& path) const { return store.at(path).gradient; }
  at::Tensor value(const std::string& path) const { return store.at(path).value; }

  static constexpr int64_t sequence = 6;

  ModelDefinition model;
  ComponentStore store;
  Stage stage;

 private:
};

inline Microbatch tiny_batch(int64_t rows = 2, uint64_t seed = 1) {
  at::manual_seed(seed);
  const auto draw = [&] {
    return at::randint(0, tiny_spec(1).vocab, {rows * TinyModel::sequence}, at::kLong);
  };
  return {draw(), draw()};
}

/// The same function with weights of its own in every layer.
inline std::unique_ptr<TinyModel> untied_clone(const TinyModel& shared) {
  ModelDefinition definition = shared.model;
  definition.sharing = make_sharing_map({.strategy = "none"}, shared.model.sharing.depth());
  auto clone = std::make_unique<TinyModel>(definition);
  const at::NoGradGuard no_grad;
  for (const ParameterSpec& spec : clone->parameters()) {
    ParameterSpec source = spec;
    if (spec.component.kind == Kind::slot) {
      source.component.id = shared.model.sharing.id(spec.component.slot, spec.component.id);
    }
    clone->value(spec.path()).copy_(shared.value(source.path()));
  }
  return clone;
}

}  // namespace rondo
