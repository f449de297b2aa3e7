// What decides how a run goes on: batches that grow, losses that leave their way, time that is up.
#include <gtest/gtest.h>

#include <cmath>

#include "base/quantity.h"
#include "training/control/batch_schedule.h"
#include "training/control/spike_guard.h"
#include "training/control/stop_requests.h"
#include "training/control/straggler.h"

namespace rondo {
namespace {

TEST(BatchSchedule, GrowsInMultiplesOfItsStartToTheFullBatch) {
  const BatchSchedule batches{.full = 32, .from = 8, .ramp_steps = 6};
  std::vector<int64_t> sizes;
  for (int64_t step = 1; step <= 8; ++step) sizes.push_back(batches.at(step));
  EXPECT_EQ(sizes, (std::vector<int64_t>{8, 8, 16, 16, 24, 24, 32, 32}));
  EXPECT_EQ((BatchSchedule{.full = 32}).at(1), 32);
}

TEST(BatchSchedule, WhatIsLeftCountsFullBatches) {
  const BatchSchedule batches{.full = 32, .from = 8, .ramp_steps = 6};
  double left = 0.0;
  for (int64_t step = 10; step > 0; --step) {
    EXPECT_DOUBLE_EQ(batches.left_after(step, 10), left) << step;
    left += batches.share(step);
  }
}

/// Losses that fall slowly and jitter.
double loss_at(int step) { return 4.0 - 0.01 * step + 0.05 * std::sin(7.0 * step); }

TEST(SpikeGuard, TakesThreeHighLossesInARowForASpike) {
  SpikeGuard guard(6.0);
  for (int step = 0; step < 60; ++step) EXPECT_FALSE(guard.add(loss_at(step))) << step;
  EXPECT_FALSE(guard.add(9.0));
  EXPECT_FALSE(guard.add(9.0));
  EXPECT_FALSE(guard.add(loss_at(60))) << "it came back by itself";
  EXPECT_EQ(guard.length(), 0);
  EXPECT_FALSE(guard.add(9.0));
  EXPECT_FALSE(guard.add(9.5));
  EXPECT_TRUE(guard.add(10.0));
  EXPECT_EQ(guard.length(), 3);
  guard.forget_spike();
  EXPECT_FALSE(guard.add(loss_at(61)));
}

TEST(SpikeGuard, JudgesNothingBeforeItHasSeenEnough) {
  SpikeGuard guard(6.0);
  for (size_t step = 0; step + 1 < SpikeGuard::least; ++step) guard.add(loss_at(1));
  for (int high = 0; high < 5; ++high) EXPECT_FALSE(guard.add(50.0));
}

TEST(Duration, ReadsUnitsInOrderAndNothingElse) {
  EXPECT_EQ(parse_duration("2h"), 7200);
  EXPECT_EQ(parse_duration("1h30m"), 5400);
  EXPECT_EQ(parse_duration("1d1s"), 86401);
  for (const char* text : {"", "2", "h", "30m1h", "1h1h", "-1h", "2 h", "2hours"}) {
    EXPECT_EQ(parse_duration(text), std::nullopt) << text;
  }
  for (const int64_t seconds : {1, 59, 60, 5400, 86400, 90061}) {
    EXPECT_EQ(parse_duration(duration_text(seconds)), seconds);
  }
}

RankMetrics rank_of(double forward, double waiting) {
  RankMetrics rank;
  rank.phases[Phase::forward] = forward;
  rank.phases[Phase::sums] = waiting;
  return rank;
}

TEST(Straggler, IsTheRankWhoseOwnWorkTakesLongerThanThatOfItsLikes) {
  const std::vector<RankMetrics> even(4, rank_of(1.0, 0.1));
  EXPECT_FALSE(find_straggler(even, {1, 4}));
  const std::vector<RankMetrics> quick = {rank_of(0.001, 0.0), rank_of(0.001, 0.0),
                                          rank_of(0.004, 0.0)};
  EXPECT_FALSE(find_straggler(quick, {1, 3})) << "a few milliseconds are the machine's";
  std::vector<RankMetrics> ranks(4, rank_of(1.0, 1.0));
  ranks[2] = rank_of(2.0, 0.0);
  const auto found = find_straggler(ranks, {1, 4});
  ASSERT_TRUE(found);
  EXPECT_EQ(describe(*found), "rank 2 is slow: 2 s a step in the phase forward, its likes 1 s");
}

TEST(Straggler, IsComparedWithRanksOfTheSameChunksOnly) {
  // Two replicas of two pipeline ranks, the second of which has twice the work.
  const std::vector<RankMetrics> ranks = {rank_of(1.0, 1.0), rank_of(2.0, 0.0), rank_of(1.0, 1.0),
                                          rank_of(2.0, 0.0)};
  EXPECT_FALSE(find_straggler(ranks, {2, 2}));
  EXPECT_TRUE(find_straggler(ranks, {1, 4}));
}

TEST(StopRequests, TimeIsUpBeforeWhatWouldEndAfterIt) {
  const StopSignals signals;
  const ControlConfig control{.exit_after_s = 3600};
  EXPECT_FALSE(StopRequests(control, signals, true).by_time(3500.0));
  EXPECT_TRUE(StopRequests(control, signals, true).by_time(3600.0));
  EXPECT_FALSE(StopRequests(control, signals, false).by_time(3600.0))
      << "another rank has the clock";
  EXPECT_FALSE(StopRequests({}, signals, true).by_time(1e9));
}

}  // namespace
}  // namespace rondo
