// Store, start values, loss and optimizer, each against something that was not written here.
#include <gtest/gtest.h>
#include <torch/nn/functional/loss.h>
#include <torch/optim/adamw.h>

#include <cmath>
#include <stdexcept>

#include "base/user_error.h"
#include "model/operations/loss.h"
#include "model/optimizer/adamw.h"
#include "tests/model/tiny_model.h"

namespace rondo {
namespace {

const auto wide = torch::dtype(torch::kFloat64);

TEST(ComponentStore, HasOneOwnerForEveryComponent) {
  const TinyModel tiny(tiny_model({.strategy = "cycle", .unique = 2}, 4));
  const auto build = [&](const std::vector<BufferPlan>& plans) {
    return ComponentStore(tiny.parameters(), plans, Precision::parse("float32"), torch::kCPU);
  };
  const BufferPlan embedding{.components = {{Kind::embedding}}};
  EXPECT_THROW(build({embedding, embedding}), std::logic_error);
  EXPECT_THROW(build({embedding}).at("head/weight"), std::logic_error);
}

TEST(ComponentStore, PadsABufferToEqualShards) {
  const TinyModel tiny(tiny_model({.strategy = "universal"}, 2));
  for (int64_t shards = 1; shards <= 7; ++shards) {
    const ComponentStore store(tiny.parameters(),
                               {{{{Kind::final_norm}, {Kind::slot, Slot::attention, 0}}, shards}},
                               Precision::parse("float32"), torch::kCPU);
    EXPECT_EQ(store.buffers()[0].values.numel() % shards, 0);
    EXPECT_EQ(store.buffers()[0].gradients.numel(), store.buffers()[0].values.numel());
  }
}

TEST(ComponentStore, StacksNeighboursWithoutACopy) {
  const TinyModel tiny(tiny_model({.strategy = "universal"}, 1));
  const Component block{Kind::slot, Slot::feed_forward, 0};
  const Parameter both = tiny.store.stacked(block, {"gate_proj/weight", "up_proj/weight"});
  EXPECT_EQ(both.value.sizes(), (std::vector<int64_t>{48, 16}));
  EXPECT_EQ(both.value[24].data_ptr(), tiny.value("feed_forward/0/up_proj/weight").data_ptr());
  EXPECT_THROW(tiny.store.stacked(block, {"gate_proj/weight", "down_proj/weight"}),
               std::logic_error);
}

TEST(Precision, RefusesWhatItDoesNotKnow) { EXPECT_THROW(Precision::parse("float16"), UserError); }

TEST(InitialValues, DependOnSeedAndPathAlone) {
  TinyModel whole(tiny_model({.strategy = "cycle", .unique = 2}, 4));
  draw_initial_values(whole.store, 7);
  ComponentStore part(whole.parameters(), {{.components = {{Kind::slot, Slot::feed_forward, 1}}}},
                      Precision::parse("float64"), torch::kCPU);
  draw_initial_values(part, 7);
  const std::string path = "feed_forward/1/up_proj/weight";
  EXPECT_TRUE(part.at(path).value.equal(whole.value(path)));
  draw_initial_values(part, 8);
  EXPECT_FALSE(part.at(path).value.equal(whole.value(path)));
  EXPECT_FALSE(whole.value(path).equal(whole.value("feed_forward/0/up_proj/weight")));
}

TEST(InitialValues, AreScaledByTheExecutedDepth) {
  ModelDefinition definition = tiny_model({.strategy = "universal"}, 8, /*rank=*/4);
  definition.spec.hidden = 64;
  definition.spec.ffn = 256;
  TinyModel tiny(definition);
  draw_initial_values(tiny.store, 1);
  const auto deviation = [&](const std::string& path) {
    return tiny.value(path).std().item<double>();
  };
  EXPECT_NEAR(deviation("feed_forward/0/up_proj/weight"), 0.02, 0.001);
  EXPECT_NEAR(deviation("feed_forward/0/down_proj/weight"), 0.02 / 4.0, 0.0003);
  EXPECT_NEAR(deviation("adapters/3/feed_forward/down_proj/a"), 1.0 / 16.0, 0.006);
  EXPECT_EQ(deviation("adapters/3/feed_forward/down_proj/b"), 0.0);
}

TEST(InitialValues, OfRelaxedLayersAreThoseOfStrictOnes) {
  ModelDefinition definition = tiny_model({.strategy = "universal"}, 2, /*rank=*/2);
  definition.spec.family = "qwen3";
  TinyModel relaxed(definition);
  definition.relaxation_rank = 0;
  TinyModel strict(definition);
  for (TinyModel* tiny : {&relaxed, &strict}) draw_initial_values(tiny->store, 1);
  EXPECT_EQ(relaxed.step(tiny_batch()), strict.step(tiny_batch()));
}

TEST(Loss, OfATeacherIsTheForwardDivergenceAtATemperature) {
  torch::manual_seed(4);
  const int64_t tokens = 90, vocab = 40000;  // two chunks
  const double temperature = 2.5, weight = 0.3, scale = 0.5;
  const torch::Tensor target = torch::randint(0, vocab, {tokens}, torch::kInt64);
  const torch::Tensor teacher_x = torch::randn({tokens, 6}, wide);
  const torch::Tensor teacher_head = torch::randn({vocab, 6}, wide);
  const torch::Tensor x = torch::randn({tokens, 8}, wide).requires_grad_(true);
  const torch::Tensor w = torch::randn({vocab, 8}, wide).requires_grad_(true);
  namespace F = torch::nn::functional;
  const torch::Tensor logits = torch::mm(x, w.t());
  const torch::Tensor divergence =
      F::kl_div(F::log_softmax(logits / temperature, 1),
                F::softmax(torch::mm(teacher_x, teacher_head.t()) / temperature, 1),
                F::KLDivFuncOptions().reduction(torch::kSum));
  const torch::Tensor hard =
      F::cross_entropy(logits, target, F::CrossEntropyFuncOptions().reduction(torch::kSum));
  const double squared = temperature * temperature;
  (scale * ((1 - weight) * hard + weight * squared * divergence)).backward();

  const Parameter head{w.detach(), torch::zeros({vocab, 8}, wide)};
  const SoftTargets soft{teacher_x, teacher_head, temperature, weight};
  const HeadResult result = head_loss(x.detach(), head, {.tokens = target, .soft = soft}, scale);
  EXPECT_NEAR(result.losses[0].item<double>(), hard.item<double>(), 1e-9);
  EXPECT_NEAR(result.losses[1].item<double>(), divergence.item<double>(), 1e-9);
  EXPECT_TRUE(torch::allclose(result.gradient_x, x.grad(), 1e-9, 1e-12));
  EXPECT_TRUE(torch::allclose(head.gradient, w.grad(), 1e-9, 1e-12));
}

TEST(Loss, OverChunksIsTheCrossEntropyOfTheWhole) {
  torch::manual_seed(3);
  const int64_t tokens = 200, hidden = 8, vocab = 40000;  // 64 rows a chunk, the last one short
  const torch::Tensor x = torch::randn({tokens, hidden}, wide);
  const torch::Tensor weight = torch::randn({vocab, hidden}, wide);
  const torch::Tensor target = torch::randint(0, vocab, {tokens}, torch::kInt64);
  const Parameter head{weight, torch::ones({vocab, hidden}, wide)};
  const double scale = 0.25;
  const HeadResult result = head_loss(x, head, {.tokens = target}, scale);

  const torch::Tensor x_leaf = x.clone().requires_grad_(true);
  const torch::Tensor w_leaf = weight.clone().requires_grad_(true);
  const torch::Tensor loss = torch::nn::functional::cross_entropy(
      torch::mm(x_leaf, w_leaf.t()), target,
      torch::nn::functional::CrossEntropyFuncOptions().reduction(torch::kSum));
  (loss * scale).backward();
  EXPECT_NEAR(result.losses[0].item<double>(), loss.item<double>(), 1e-9);
  EXPECT_TRUE(result.gradient_x.allclose(x_leaf.grad(), 1e-10, 1e-12));
  EXPECT_TRUE(head.gradient.allclose(w_leaf.grad() + 1.0, 1e-10, 1e-12)) << "adds, not replaces";
  EXPECT_EQ(head_loss(x, head, {.tokens = target}, 0.0).losses[0].item<double>(),
            result.losses[0].item<double>());
}

AdamWRun run_of(const torch::Tensor& weight, const torch::Tensor& gradient, bool decays) {
  const int64_t n = weight.numel();
  return {weight, gradient, torch::zeros_like(weight), torch::zeros_like(weight), {{0, n, decays}}};
}

TEST(AdamW, FollowsTheOptimizerOfLibTorch) {
  torch::manual_seed(5);
  const torch::Tensor weight = torch::randn({50}, wide);
  torch::Tensor peer_weight = weight.clone().requires_grad_(true);
  torch::optim::AdamW peer(
      {peer_weight},
      torch::optim::AdamWOptions(0.01).betas({0.9, 0.95}).eps(1e-8).weight_decay(0.1));
  AdamWRun run = run_of(weight, torch::zeros({50}, wide), true);
  for (int64_t step = 1; step <= 5; ++step) {
    run.gradient.copy_(torch::randn({50}, wide));
    peer_weight.mutable_grad() = run.gradient.clone();
    peer.step();
    adamw_update(run, {}, 0.01, step);
  }
  EXPECT_TRUE(weight.allclose(peer_weight, 1e-12, 1e-14));
}

TEST(AdamW, DecaysOnceAStepAndOnlyWhereAsked) {
  const double lr = 0.1;
  for (const bool decays : {true, false}) {
    AdamWRun run = run_of(torch::ones({4}, wide), torch::zeros({4}, wide), decays);
    for (int64_t step = 1; step <= 10; ++step) adamw_update(run, {.weight_decay = 0.5}, lr, step);
    const double expected = decays ? std::pow(1.0 - lr * 0.5, 10) : 1.0;
    EXPECT_NEAR(run.master[0].item<double>(), expected, 1e-12);
  }
}

TEST(AdamW, LeavesPaddingAlone) {
  AdamWRun run = run_of(torch::ones({4}, wide), torch::ones({4}, wide), true);
  run.spans = {{0, 3, true}};
  adamw_update(run, {}, 0.1, 1);
  EXPECT_EQ(run.master[3].item<double>(), 1.0);
  EXPECT_NE(run.master[2].item<double>(), 1.0);
}

}  // namespace
}  // namespace rondo
