// What the planner chooses besides placement and schedule, and what it says it did not consider.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <set>

#include "tests/distributed/plan/example_request.h"

namespace rondo {
namespace {

/// 16 sequences on 4 ranks, the size of microbatches open.
PlanRequest open_micro_batch() {
  PlanRequest request = billion({"cycle", 4});
  request.global_batch = 16;
  request.workload.micro_batch = 0;
  return request;
}

TEST(Plan, ChoosesTheMicroBatchAmongTheDivisors) {
  PlanRequest request = open_micro_batch();
  const Plan plan = make_plan(request);
  std::set<int64_t> sizes;
  for (const Candidate& candidate : plan.candidates) {
    const Choice& choice = candidate.choice;
    sizes.insert(choice.micro_batch);
    EXPECT_EQ(choice.micro_batch * choice.microbatches * choice.replicas, 16);
  }
  EXPECT_EQ(sizes, (std::set<int64_t>{1, 2, 4, 8, 16}));
  // The choice is that of the best of the closed requests.
  double best = std::numeric_limits<double>::infinity();
  for (const int64_t size : sizes) {
    request.workload.micro_batch = size;
    best = std::min(best, make_plan(request).chosen.step_s);
  }
  EXPECT_LE(plan.chosen.step_s, 1.02 * best);
}

TEST(Plan, TakesLargerMicroBatchesWhereSmallOnesAreSlow) {
  PlanRequest request = open_micro_batch();
  const int64_t even = make_plan(request).chosen.choice.micro_batch;
  request.machine.speeds = {{1, 8.0}, {4, 1.0}};
  const int64_t slow = make_plan(request).chosen.choice.micro_batch;
  EXPECT_LT(even, 4) << "where all are as fast, many fill the pipeline";
  EXPECT_GE(slow, 4);
  EXPECT_DOUBLE_EQ(request.machine.at(2).flops_per_s, request.machine.flops_per_s / 4.5);
  EXPECT_DOUBLE_EQ(request.machine.at(16).flops_per_s, request.machine.flops_per_s);
}

TEST(Plan, TakesSmallerMicroBatchesWhereMemoryIsShort) {
  PlanRequest request = open_micro_batch();
  request.machine.speeds = {{1, 8.0}, {16, 1.0}};
  const Candidate free = make_plan(request).chosen;
  request.machine.memory_bytes = free.most_memory() - 1;
  const Candidate bound = make_plan(request).chosen;
  EXPECT_LT(bound.choice.micro_batch, free.choice.micro_batch);
  EXPECT_LE(bound.most_memory(), request.machine.memory_bytes);
}

TEST(Plan, ConsidersPlainReplicasOrSaysWhyNot) {
  PlanRequest request = billion({"cycle", 4});
  request.pipeline = 0;
  const auto has_one = [](const Plan& plan) {
    return std::any_of(plan.candidates.begin(), plan.candidates.end(),
                       [](const Candidate& c) { return c.choice.placement.pipeline == 1; });
  };
  const Plan both = make_plan(request);
  EXPECT_TRUE(has_one(both));
  EXPECT_EQ(both.without_pipeline, "");
  request.global_batch = 2;  // for 4 replicas
  const Plan none = make_plan(request);
  EXPECT_FALSE(has_one(none));
  EXPECT_EQ(none.without_pipeline.rfind("train.global_batch = 2: 4 data replicas", 0), 0u)
      << none.without_pipeline;
  request.pipeline = 2;
  EXPECT_EQ(make_plan(request).without_pipeline, "") << "nobody left it open";
}

}  // namespace
}  // namespace rondo
