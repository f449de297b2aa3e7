#include "model/stage.h"

#include <ATen/ops/allclose.h>
#include <ATen/ops/cat.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

#include "model/definition/families.h"
#include "model/tie_check.h"
#include "tests/model/tiny_model.h"

namespace rondo {
namespace {

TEST(Stage, EvaluatesToTheLossOfForward) {
  TinyModel tiny(tiny_model({.strategy = "cycle", .unique = 2}, 4));
  tiny.randomise();
  Stage::Tape tape;
  const Microbatch batch = tiny_batch();
  EXPECT_EQ(loss_of(tiny.stage.forward(batch, {}, 1.0, tape)),
            loss_of(tiny.stage.evaluate(batch, {})));
}

void expect_cut_in_two_is_the_whole(const ModelDefinition& model) {
  TinyModel whole(model);
  TinyModel cut(whole.model);
  whole.randomise();
  cut.randomise();
  const auto part = [&](int begin, int end) {
    return Stage(cut.model, cut.store,
                 {.halves = {begin, end},
                  .embeds = begin == 0,
                  .ends_with_head = end == 8,
                  .sequence = TinyModel::sequence});
  };
  const Stage front = part(0, 5);
  const Stage back = part(5, 8);
  const Microbatch batch = tiny_batch();
  Stage::Tape front_tape, back_tape;
  const Stream middle = front.forward(batch, {}, 1.0, front_tape).stream;
  const double loss = loss_of(back.forward(batch, middle, 1.0, back_tape));
  const Stream gradient = back.backward({}, back_tape);
  EXPECT_FALSE(front.backward(gradient, front_tape).x.defined());
  EXPECT_EQ(loss, whole.step(batch));
  for (const ParameterSpec& spec : whole.parameters()) {
    EXPECT_TRUE(whole.gradient(spec.path()).equal(cut.gradient(spec.path()))) << spec.path();
  }
}

TEST(Stage, CutInTwoGivesTheLossAndGradientsOfTheWhole) {
  expect_cut_in_two_is_the_whole(tiny_model({.strategy = "cycle", .unique = 2}, 4));
}

TEST(Stage, GivesTheSameGradientsInTwoHalves) {
  for (const bool recompute : {false, true}) {
    TinyModel whole(tiny_model({.strategy = "cycle", .unique = 2}, 4, /*rank=*/2), recompute);
    TinyModel halves(whole.model, recompute);
    whole.randomise();
    halves.randomise();
    const Microbatch batch = tiny_batch();
    whole.step(batch);
    Stage::Tape tape;
    halves.stage.forward(batch, {}, 1.0, tape);
    halves.stage.backward_input({}, tape);
    const at::Tensor early = halves.gradient("feed_forward/1/up_proj/weight").clone();
    EXPECT_EQ(early.abs().max().item<double>(), 0.0) << "it waits";
    Stage::backward_weight(tape);
    for (const ParameterSpec& spec : whole.parameters()) {
      EXPECT_TRUE(whole.gradient(spec.path()).equal(halves.gradient(spec.path()))) << spec.path();
    }
  }
}

/// The input of the layer, which both branches read, crosses the cut beside the residual stream.
TEST(Stage, CutInsideALayerOfAParallelResidualIsTheWhole) {
  ModelDefinition definition = tiny_model({.strategy = "cycle", .unique = 2}, 4);
  definition.spec.family = "gpt_neox";
  EXPECT_EQ(stream_widths(definition, 5), (std::vector<int64_t>{16, 16}));
  expect_cut_in_two_is_the_whole(definition);
}

TEST(Stage, IsCausal) {
  TinyModel tiny(tiny_model({.strategy = "none"}, 2));
  tiny.randomise();
  const Stage front(tiny.model, tiny.store,
                    {.halves = {0, 2}, .ends_with_head = false, .sequence = TinyModel::sequence});
  Microbatch batch = tiny_batch(1);
  const at::Tensor before = front.evaluate(batch, {}).stream.x.clone();
  batch.inputs[TinyModel::sequence - 1] = (batch.inputs[TinyModel::sequence - 1] + 1) % 13;
  const at::Tensor after = front.evaluate(batch, {}).stream.x;
  const int64_t untouched = TinyModel::sequence - 1;
  EXPECT_TRUE(before.narrow(0, 0, untouched).equal(after.narrow(0, 0, untouched)));
  EXPECT_FALSE(before[untouched].equal(after[untouched]));
}

TEST(Stage, KnowsOneSequenceFromTheNext) {
  TinyModel tiny(tiny_model({.strategy = "none"}, 2));
  tiny.randomise();
  const Microbatch both = tiny_batch(2);
  const auto row = [&](int64_t i) {
    const auto part = [&](const at::Tensor& t) {
      return t.narrow(0, i * TinyModel::sequence, TinyModel::sequence);
    };
    return loss_of(tiny.stage.evaluate({part(both.inputs), part(both.targets)}, {}));
  };
  EXPECT_NEAR(loss_of(tiny.stage.evaluate(both, {})), row(0) + row(1), 1e-12);
}

TEST(Ties, AreHeldByLayersThatShareAComponent) {
  TinyModel tiny(tiny_model({.strategy = "cycle", .unique = 2}, 4));
  EXPECT_NO_THROW(check_ties(tiny.stage.halves(), tiny.model.sharing));
}

TEST(Ties, ThatAreLostOrInventedAreNamed) {
  const TinyModel tiny(tiny_model({.strategy = "cycle", .unique = 2}, 4));
  SharingMap other = tiny.model.sharing;
  other.of(Slot::feed_forward) = {0, 1, 0, 2};
  try {
    check_ties(tiny.stage.halves(), other);
    FAIL() << "accepted a tie that the map does not have";
  } catch (const std::logic_error& error) {
    EXPECT_STREQ(error.what(), "feed_forward of layers 1 and 3 should not share memory");
  }
  other.of(Slot::feed_forward) = {0, 1, 0, 0};
  EXPECT_THROW(check_ties(tiny.stage.halves(), other), std::logic_error);
}

TEST(Stage, NeedsNoGradientsToBeAsked) {
  TinyModel tiny(tiny_model({.strategy = "cycle", .unique = 2}, 4, /*rank=*/2));
  tiny.randomise();
  std::vector<BufferPlan> plans;
  for (const Component& component : components(tiny.model)) {
    plans.push_back({.components = {component}, .trained = false});
  }
  ComponentStore frozen(tiny.parameters(), plans, tiny.store.precision(), at::kCPU);
  for (const ParameterSpec& spec : tiny.parameters()) {
    EXPECT_FALSE(frozen.at(spec.path()).gradient.defined());
    at::Tensor value = frozen.at(spec.path()).value;
    value.copy_(tiny.value(spec.path()));
  }
  const Stage stage(tiny.model, frozen, {.halves = {0, 8}, .sequence = TinyModel::sequence});
  const Microbatch batch = tiny_batch();
  EXPECT_TRUE(loss_of(stage.evaluate(batch, {})) == loss_of(tiny.stage.evaluate(batch, {})));
}

/// A sequence fed in parts is one fed whole.
TEST(Stage, GoesOnWithASequenceAsIfItHadSeenItWhole) {
  for (const char* family : {"llama", "gpt2", "gpt_neox", "qwen3"}) {
    ModelDefinition definition = tiny_model({.strategy = "cycle", .unique = 2}, 4);
    definition.spec.family = family;
    if (block_parts(definition.spec).rotary == false) definition.spec.positions = 8;
    TinyModel tiny(definition);
    tiny.randomise();
    const at::Tensor tokens = tiny_batch(1).inputs;  // [6]
    const at::Tensor whole = tiny.stage.features({tokens, {}});
    SequenceMemory memory = tiny.stage.empty_memory();
    std::vector<at::Tensor> parts;
    int64_t begin = 0;
    for (const int64_t count : {2, 1, 3}) {
      parts.push_back(tiny.stage.next_features(tokens.narrow(0, begin, count), memory));
      begin += count;
    }
    EXPECT_TRUE(at::allclose(at::cat(parts), whole, 1e-12, 1e-12)) << family;
  }
}

}  // namespace
}  // namespace rondo
