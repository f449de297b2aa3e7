// Holds each weight of a looped model once, runs a microbatch through it, and shows that the
// gradient of a shared weight is one buffer to which every layer that uses it adds.
#include <ATen/Functions.h>

#include <cstdio>

#include "model/component_store.h"
#include "model/initial_values.h"
#include "model/stage.h"

namespace {

rondo::ModelDefinition looped() {
  const rondo::ModelSpec spec{
      .hidden = 32, .depth = 6, .heads = 4, .kv_heads = 2, .head_dim = 8, .ffn = 64, .vocab = 100};
  return {spec, rondo::make_sharing_map({.strategy = "cycle", .unique = 2}, 6)};
}

rondo::Microbatch random_tokens(int64_t count) {
  const at::Tensor text = at::randint(0, 100, {count + 1}, at::kLong);
  return {text.slice(0, 0, count).contiguous(), text.slice(0, 1).contiguous()};
}

}  // namespace

int main() {
  constexpr int64_t sequence = 16;
  const rondo::ModelDefinition model = looped();
  rondo::ComponentStore store(rondo::parameters(model), {{rondo::components(model)}},
                              rondo::Precision::parse("float64"), at::kCPU);
  rondo::draw_initial_values(store, /*seed=*/1);
  const rondo::Stage stage(model, store,
                           {.halves = {0, rondo::half_layers(model)}, .sequence = sequence});

  rondo::Stage::Tape tape;
  const rondo::StageResult result =
      stage.forward(random_tokens(sequence), {}, 1.0 / sequence, tape);
  stage.backward({}, tape);

  const double loss = result.losses.at(rondo::cross_entropy).item<double>() / sequence;
  const rondo::Parameter& shared = store.at("attention/0/q_proj/weight");
  std::printf("loss %.4f nats a token\n", loss);
  std::printf("buffer of %ld elements for %d layers\n", store.buffers().front().values.numel(),
              model.depth());
  std::printf("attention/0/q_proj/weight, of layers 0, 2 and 4: gradient norm %.6f\n",
              shared.gradient.norm().item<double>());
}
