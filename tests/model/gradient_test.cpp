// The gradients of the whole model against finite differences and against an untied clone.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "tests/model/tiny_model.h"

namespace rondo {
namespace {

double loss_of(TinyModel& tiny, const Microbatch& batch) {
  return loss_of(tiny.stage.evaluate(batch, {}));
}

void expect_finite_differences(const ModelDefinition& definition) {
  TinyModel tiny(definition);
  tiny.randomise();
  const Microbatch batch = tiny_batch();
  tiny.step(batch);
  const double width = 1e-5;
  for (const ParameterSpec& spec : tiny.parameters()) {
    at::Tensor value = tiny.value(spec.path()).view(-1);
    const at::Tensor gradient = tiny.gradient(spec.path()).reshape(-1);
    for (const int64_t at : {int64_t{0}, spec.count() / 3, spec.count() - 1}) {
      const double old = value[at].item<double>();
      value[at] = old + width;
      const double above = loss_of(tiny, batch);
      value[at] = old - width;
      const double below = loss_of(tiny, batch);
      value[at] = old;
      const double expected = (above - below) / (2.0 * width);
      EXPECT_NEAR(gradient[at].item<double>(), expected, 1e-7 * (1.0 + std::abs(expected)))
          << spec.path() << " element " << at;
    }
  }
}

TEST(Gradient, AgreesWithFiniteDifferencesUnderSharing) {
  expect_finite_differences(tiny_model({.strategy = "cycle", .unique = 2}, 4));
}

TEST(Gradient, AgreesWithFiniteDifferencesUnderRelaxation) {
  expect_finite_differences(tiny_model({.strategy = "cycle_rev", .unique = 2}, 4, /*rank=*/3));
}

TEST(Gradient, AgreesWithFiniteDifferencesOfATiedHead) {
  ModelDefinition definition = tiny_model({.strategy = "universal"}, 2);
  definition.spec.tie_embeddings = true;
  expect_finite_differences(definition);
}

TEST(Gradient, AgreesWithFiniteDifferencesInEveryFamily) {
  for (const std::string& family : model_families()) {
    SCOPED_TRACE(family);
    ModelDefinition definition = tiny_model({.strategy = "cycle", .unique = 2}, 4, /*rank=*/2);
    definition.spec.family = family;
    definition.spec.rotary_fraction = family == "gpt_neox" ? 0.5 : 1.0;
    definition.spec.positions = family == "gpt2" ? TinyModel::sequence + 2 : 0;
    expect_finite_differences(definition);
  }
}

/// Each shared gradient is the weighted sum of those of the layers that use it.
void expect_sum_over_uses(ModelDefinition definition, const std::string& policy) {
  definition.gradient = policy;
  TinyModel shared(definition);
  shared.randomise();
  const std::unique_ptr<TinyModel> clone = untied_clone(shared);
  const Microbatch batch = tiny_batch();
  EXPECT_NEAR(shared.step(batch), clone->step(batch), 1e-12);
  for (const ParameterSpec& spec : shared.parameters()) {
    at::Tensor expected = at::zeros(spec.shape, at::kDouble);
    bool in_a_slot = false;
    for (Slot slot : all_slots) {
      const auto& list = definition.sharing.of(slot);
      const std::vector<double> weights = gradient_weights(list, policy);
      for (size_t layer = 0; layer < list.size(); ++layer) {
        if (spec.component != Component{Kind::slot, slot, list[layer]}) continue;
        in_a_slot = true;
        expected +=
            weights[layer] * clone->gradient(fmt::format("{}/{}/{}", slot.name, layer, spec.name));
      }
    }
    if (!in_a_slot) expected = clone->gradient(spec.path());
    const double worst = (shared.gradient(spec.path()) - expected).abs().max().item<double>();
    EXPECT_LT(worst, 1e-12 * (1.0 + expected.abs().max().item<double>()))
        << spec.path() << " under " << policy;
  }
}

TEST(Gradient, OfASharedComponentIsTheSumOverItsUses) {
  for (const char* strategy : {"sequence", "cycle", "cycle_rev", "zigzag", "skip:2", "none"}) {
    SharingOptions options{.strategy = strategy};
    options.unique = options.strategy == "none" ? 0 : 3;
    expect_sum_over_uses(tiny_model(options, 6), "sum");
  }
  expect_sum_over_uses(tiny_model({.strategy = "middle_cycle", .unique = 4}, 6), "sum");
  expect_sum_over_uses(tiny_model({.strategy = "explicit", .map = {0, 1, 2, 0, 0}}, 5), "sum");
}

TEST(Gradient, OfSlotsThatAreSharedInWaysOfTheirOwn) {
  SharingOptions options{.strategy = "cycle", .unique = 2};
  options.feed_forward = "universal";
  options.norms = "none";
  expect_sum_over_uses(tiny_model(options, 4), "sum");
  expect_sum_over_uses(tiny_model(options, 4, /*rank=*/2), "sum");
}

TEST(Gradient, MayBeTheMeanOverUsesOrTheOwnersAlone) {
  for (const char* policy : {"mean", "owner"}) {
    expect_sum_over_uses(tiny_model({.strategy = "cycle", .unique = 2}, 5), policy);
  }
}

TEST(Gradient, OfWhatALayerOwnsIsWholeUnderEveryPolicy) {
  for (const char* family : {"qwen3", "gpt_neox"}) {
    SCOPED_TRACE(family);
    ModelDefinition definition = tiny_model({.strategy = "cycle", .unique = 2}, 5, /*rank=*/2);
    definition.spec.family = family;
    expect_sum_over_uses(definition, "owner");
  }
}

TEST(Gradient, IsTheSameToTheBitWhenLayersAreRecomputed) {
  const ModelDefinition definition = tiny_model({.strategy = "cycle", .unique = 2}, 4, /*rank=*/2);
  TinyModel kept(definition);
  TinyModel recomputed(definition, /*recompute=*/true);
  kept.randomise();
  recomputed.randomise();
  EXPECT_EQ(kept.step(tiny_batch()), recomputed.step(tiny_batch()));
  for (const ParameterSpec& spec : kept.parameters()) {
    EXPECT_TRUE(kept.gradient(spec.path()).equal(recomputed.gradient(spec.path()))) << spec.path();
  }
}

TEST(Gradient, AddsUpOverMicrobatches) {
  const ModelDefinition definition = tiny_model({.strategy = "cycle", .unique = 2}, 4);
  TinyModel whole(definition);
  TinyModel parts(definition);
  whole.randomise();
  parts.randomise();
  const Microbatch batch = tiny_batch(4);
  const double loss = whole.step(batch);
  double sum = 0.0;
  for (int64_t row = 0; row < 4; ++row) {
    const auto part = [&](const at::Tensor& t) {
      return t.narrow(0, row * TinyModel::sequence, TinyModel::sequence);
    };
    sum += parts.step({part(batch.inputs), part(batch.targets)});
  }
  EXPECT_NEAR(sum, loss, 1e-12);
  for (const ParameterSpec& spec : whole.parameters()) {
    EXPECT_TRUE(whole.gradient(spec.path()).allclose(parts.gradient(spec.path()), 1e-12, 1e-13))
        << spec.path();
  }
}

TEST(Gradient, OfBfloat16ComputeIsNearWithMastersInFloat32) {
  const ModelDefinition definition = tiny_model({.strategy = "universal"}, 2);
  TinyModel exact(definition);
  TinyModel rough(definition, false, "bfloat16");
  rough.randomise();
  for (const ParameterSpec& spec : exact.parameters()) {
    const at::NoGradGuard no_grad;
    exact.value(spec.path()).copy_(rough.value(spec.path()));  // the same rounded weights
  }
  const double loss = exact.step(tiny_batch());
  EXPECT_NEAR(rough.step(tiny_batch()), loss, 0.02 * loss);
  for (const ParameterSpec& spec : exact.parameters()) {
    const at::Tensor gradient = rough.gradient(spec.path());
    EXPECT_EQ(gradient.scalar_type(), at::kFloat);
    const at::Tensor expected = exact.gradient(spec.path());
    const double error = (gradient.to(at::kDouble) - expected).norm().item<double>();
    EXPECT_LT(error, 0.05 * expected.norm().item<double>()) << spec.path();
  }
}

}  // namespace
}  // namespace rondo
