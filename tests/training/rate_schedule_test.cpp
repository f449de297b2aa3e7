#include "training/rate_schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "base/user_error.h"

namespace rondo {
namespace {

TEST(RateSchedule, WarmsUpLinearlyAndThenFollowsItsShape) {
  RateSchedule rate{.schedule = "constant", .lr = 2.0, .warmup = 4, .min_ratio = 0.1, .steps = 104};
  EXPECT_DOUBLE_EQ(rate.at(1), 0.5);
  EXPECT_DOUBLE_EQ(rate.at(4), 2.0);
  EXPECT_DOUBLE_EQ(rate.at(104), 2.0);
  rate.schedule = "cosine";
  EXPECT_DOUBLE_EQ(rate.at(54), 2.0 * (0.1 + 0.9 * 0.5));
  EXPECT_NEAR(rate.at(104), 0.2, 1e-15);
  rate.schedule = "trapezoid";
  EXPECT_DOUBLE_EQ(rate.at(84), 2.0);
  EXPECT_NEAR(rate.at(94), 1.1, 1e-12);
  EXPECT_NEAR(rate.at(104), 0.2, 1e-12);
  rate.decay_share = 0.5;
  EXPECT_DOUBLE_EQ(rate.at(54), 2.0);
  EXPECT_NEAR(rate.at(79), 1.1, 1e-12);
  rate.schedule = "linear";
  EXPECT_NEAR(rate.at(54), 1.1, 1e-12);
  EXPECT_NEAR(rate.at(104), 0.2, 1e-12);
  EXPECT_NEAR(rate.at(1000), 0.2, 1e-12) << "the rate stays where its decay ends";
}

TEST(RateSchedule, TheInverseRootStartsAtTheWarmUpAndHasAFloor) {
  const RateSchedule rate{
      .schedule = "inverse_sqrt", .lr = 2.0, .warmup = 4, .min_ratio = 0.1, .steps = 8};
  EXPECT_DOUBLE_EQ(rate.at(4), 2.0);
  EXPECT_DOUBLE_EQ(rate.at(16), 1.0);
  EXPECT_DOUBLE_EQ(rate.at(400), 0.2);
  EXPECT_DOUBLE_EQ(rate.at(4000), 0.2);
}

TEST(RateSchedule, WithoutWarmUpStartsAtThePlainRate) {
  EXPECT_DOUBLE_EQ((RateSchedule{.schedule = "constant", .lr = 1e-3, .warmup = 0}).at(1), 1e-3);
}

TEST(RateSchedule, TheLastStepStillTrainsWhereTheRateFallsToNothing) {
  RateSchedule rate{.lr = 1.0, .warmup = 0, .min_ratio = 0.0, .steps = 9};
  for (const char* schedule : {"cosine", "linear", "trapezoid"}) {
    rate.schedule = schedule;
    EXPECT_NEAR(rate.at(10), 0.0, 1e-15) << schedule;
    EXPECT_GT(rate.at(9), 0.01) << schedule;
    EXPECT_LT(rate.at(9), rate.at(8)) << schedule;
  }
  rate.schedule = "cosine";
  EXPECT_NEAR(rate.at(9), 0.5 * (1.0 + std::cos(0.9 * std::numbers::pi)), 1e-15);
  for (const int64_t steps : {1, 2}) {
    rate.steps = steps;
    EXPECT_GT(rate.at(steps), 0.0) << steps;
  }
}

TEST(RateSchedule, RefusesAnUnknownShape) {
  EXPECT_THROW((RateSchedule{.schedule = "step"}).at(1), UserError);
}

}  // namespace
}  // namespace rondo
