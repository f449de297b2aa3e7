#include "training/accounting.h"

#include <gtest/gtest.h>

#include "distributed/plan/plan.h"

namespace rondo {
namespace {

constexpr int sequence = 8;

/// A layer before the loop, four passes over two layers, a layer after it.
StepPlan whole_step() {
  PlanRequest request;
  ModelDefinition& model = request.workload.model;
  model.spec = {.hidden = 16, .heads = 2, .kv_heads = 2, .head_dim = 8, .ffn = 32, .vocab = 50};
  model.spec.depth = 10;
  model.sharing = make_sharing_map({.strategy = "cycle", .unique = 2, .prelude = 1, .coda = 1}, 10);
  request.workload.sequence = sequence;
  request.world = 2;
  request.pipeline = 2;
  request.global_batch = 4;
  return make_plan(request).step;
}

// Six operations a weight; causal attention multiplies half of the scores, and half of the values.
constexpr double layer = 6.0 * (4 * 16 * 16 + 3 * 16 * 32) + 6.0 * sequence * 16;
constexpr double head = 6.0 * 16 * 50;

TEST(Accounting, CountsTheHeadWholeAndTheLayersThatAStepRuns) {
  const StepPlan whole = whole_step();
  EXPECT_DOUBLE_EQ(flops_per_token(whole, sequence), head + 10 * layer);
  for (int passes = 1; passes <= 4; ++passes) {
    EXPECT_DOUBLE_EQ(flops_per_token(plan_step(whole, {passes, 0}), sequence),
                     head + (2 + 2 * passes) * layer);
  }
}

TEST(Accounting, CountsGradientsAsFarAsTheyGo) {
  const StepPlan whole = whole_step();
  for (int trained = 1; trained <= 3; ++trained) {
    // Forward through all ten; back through the trained passes and the last layer.
    EXPECT_DOUBLE_EQ(flops_per_token(plan_step(whole, {4, trained}), sequence),
                     head + 10 * layer / 3 + (2 * trained + 1) * layer * 2 / 3);
  }
}

}  // namespace
}  // namespace rondo
