#include "distributed/plan/schedule/simulate.h"

#include <gtest/gtest.h>

#include <numeric>

#include "distributed/plan/schedule/lower.h"
#include "distributed/plan/schedule/schedule.h"
#include "tests/distributed/plan/small_model.h"

namespace rondo {
namespace {

struct Case {
  ModelDefinition model;
  Placement placement;
  std::vector<ComponentGroup> sums;
  Program program;
};

/// A universal block on `pipeline` ranks: one copy each.
Case universal(int pipeline, int microbatches) {
  Case c;
  c.model = small_model(make_sharing_map({"universal"}, pipeline));
  c.placement = make_placement({pipeline, "contiguous"}, c.model);
  c.sums = summed_groups(c.model, c.placement, 1);
  const ScheduleOptions options{ScheduleKind::one_forward_one_backward, microbatches};
  c.program = lower(generate(options, c.placement), c.placement, c.sums);
  return c;
}

TEST(Simulate, AddsUpWhatOneMicrobatchTakesByHand) {
  const Case c = universal(2, 1);
  StepCosts costs;
  costs.chunks = {{1.0, 2.0, 3.0, 10}, {4.0, 5.0, 6.0, 20}};
  costs.links = {{}, {0.5, 100.0}, {0.25, 50.0}, {}};
  costs.messages.assign(2, {100});
  costs.reduces = {{7.0, 1000}};
  const Simulation result = simulate(c.program, c.placement, c.sums, costs);
  // 1, then 1 + 0.5 on the way, 4 + 5 + 6 there, 2 + 0.25 back, 2 + 3, and a sum of 7.
  EXPECT_DOUBLE_EQ(result.step_s, 1 + 1.5 + 15 + 2.25 + 5 + 7);
  EXPECT_DOUBLE_EQ(result.bubble, 1 - (6 + 15) / (2 * result.step_s));
  EXPECT_EQ(result.peak_live, (std::vector<int>{1, 1}));
  EXPECT_EQ(result.peak_live_bytes, (std::vector<int64_t>{10, 20}));
  EXPECT_EQ(result.activation_sent_bytes, (std::vector<int64_t>{100, 100}));
  EXPECT_EQ(result.reduce_sent_bytes, (std::vector<int64_t>{1000, 1000}));
}

TEST(Simulate, WaitsForWeightsChunkByChunkAndSumsBehindTheGathers) {
  const Case c = universal(2, 1);
  StepCosts costs;
  costs.reduces = {{1.0, 0}};
  const auto step_s = [&](std::vector<double> chunks, std::vector<double> ranks) {
    costs.chunk_ready_s = std::move(chunks);
    costs.rank_ready_s = std::move(ranks);
    return simulate(c.program, c.placement, c.sums, costs).step_s;
  };
  const double plain = step_s({}, {});  // 1, then 3 on rank 1, then 2, then the sum
  EXPECT_DOUBLE_EQ(plain, 1 + 3 + 2 + 1);
  EXPECT_DOUBLE_EQ(step_s({0.5, 0.0}, {0.5, 0.0}), plain + 0.5) << "the first chunk waits";
  EXPECT_DOUBLE_EQ(step_s({0.0, 0.9}, {0.0, 0.9}), plain) << "hidden behind the first chunk";
  EXPECT_DOUBLE_EQ(step_s({0.0, 2.5}, {0.0, 2.5}), plain + 1.5) << "the rest of it shows";
  EXPECT_DOUBLE_EQ(step_s({0.0, 0.0}, {0.0, 9.0}), 10.0) << "one call after the other";
}

TEST(Simulate, KeepsTheTimelineInOrderOnEveryRank) {
  const Case c = universal(3, 6);
  StepCosts costs;
  costs.reduces = {{2.0, 0}};
  const Simulation result = simulate(c.program, c.placement, c.sums, costs);
  for (size_t rank = 0; rank < c.program.size(); ++rank) {
    ASSERT_EQ(result.timeline[rank].size(), c.program[rank].size());
    double clock = 0.0;
    for (size_t i = 0; i < c.program[rank].size(); ++i) {
      const auto& [action, start, end] = result.timeline[rank][i];
      EXPECT_EQ(action, c.program[rank][i]);
      EXPECT_LE(start, end);
      if (!is_compute(action.op)) continue;
      EXPECT_GE(start, clock);
      clock = end;
    }
  }
  EXPECT_EQ(result.peak_live, (std::vector<int>{3, 2, 1}));
}

TEST(Simulate, HidesASumBehindComputationOnlyWhereSumsOverlap) {
  // The untied head of rank 1 is final before the rank's other chunk.
  const ModelDefinition model = small_model(make_sharing_map({"none"}, 4));
  const Placement placement = make_placement({2, "++"}, model);
  const std::vector<ComponentGroup> sums = summed_groups(model, placement, 2);
  const ScheduleOptions options{ScheduleKind::interleaved, 4};
  const Program program = lower(generate(options, placement), placement, sums);
  StepCosts costs;
  costs.reduces.assign(sums.size(), {1.0, 0});
  const double overlapping = simulate(program, placement, sums, costs).step_s;
  costs.reduces_overlap = false;
  const double blocking = simulate(program, placement, sums, costs).step_s;
  EXPECT_LT(overlapping, blocking);
}

TEST(Simulate, SharesALinkBetweenMessagesInFlight) {
  Case c = universal(2, 4);
  c.program = lower(generate({ScheduleKind::gpipe, 4}, c.placement), c.placement, c.sums);
  StepCosts costs;
  costs.messages.assign(2, {300});
  costs.links.assign(4, {0.0, 100.0});
  // Four activations arrive 3 apart, the last at 13; four gradients leave from 16 on, 3 apart.
  EXPECT_DOUBLE_EQ(simulate(c.program, c.placement, c.sums, costs).step_s, 16 + 4 * 3 + 2);

  StepCosts busy;
  busy.messages.assign(2, {0, 0.5});
  EXPECT_GT(simulate(c.program, c.placement, c.sums, busy).step_s,
            simulate(c.program, c.placement, c.sums, {}).step_s + 1.0);
}

TEST(Simulate, RunsTheSumsOfARankOneAfterTheOther) {
  const ModelDefinition model = small_model(make_sharing_map({"none"}, 2));
  const Placement placement = make_placement({1, "++"}, model);
  const std::vector<ComponentGroup> sums = summed_groups(model, placement, 2);
  ASSERT_EQ(sums.size(), 2u);
  const Program program = lower(generate({ScheduleKind::gpipe, 1}, placement), placement, sums);
  StepCosts costs;
  costs.reduces.assign(2, {50.0, 0});
  EXPECT_DOUBLE_EQ(simulate(program, placement, sums, costs).step_s, 4 + 2 * 50);
}

TEST(Simulate, RefusesAProgramThatHangs) {
  Case c = universal(2, 2);
  c.program[1].erase(c.program[1].begin());  // the first receive
  EXPECT_THROW(simulate(c.program, c.placement, c.sums, {}), std::logic_error);
}

}  // namespace
}  // namespace rondo
