#include "training/pass_schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/user_error.h"

namespace rondo {
namespace {

constexpr int steps = 20000;

std::vector<double> shares(const PassSchedule& schedule, int passes) {
  std::vector<double> counts(static_cast<size_t>(passes) + 1, 0.0);
  for (int64_t step = 1; step <= steps; ++step) {
    counts[schedule.at(7, step, passes)] += 1.0 / steps;
  }
  return counts;
}

TEST(PassSchedule, DrawsEvenlyFromARange) {
  const PassSchedule schedule = PassSchedule::parse("uniform:2..5");
  EXPECT_TRUE(schedule.varies());
  EXPECT_EQ(schedule.highest(), 5);
  const std::vector<double> found = shares(schedule, 8);
  for (int passes = 0; passes <= 8; ++passes) {
    EXPECT_NEAR(found[passes], passes >= 2 && passes <= 5 ? 0.25 : 0.0, 0.01);
  }
}

/// P(n) of 1 + Poisson(2): e⁻² · 2ⁿ⁻¹ / (n−1)!; what is beyond the last pass falls on it.
TEST(PassSchedule, DrawsFromAPoissonDistributionWithTheGivenMean) {
  const std::vector<double> found = shares(PassSchedule::parse("poisson:3"), 4);
  const double e = std::exp(-2.0);
  EXPECT_NEAR(found[1], e, 0.01);
  EXPECT_NEAR(found[2], 2 * e, 0.01);
  EXPECT_NEAR(found[3], 2 * e, 0.01);
  EXPECT_NEAR(found[4], 1 - 5 * e, 0.01);
}

TEST(PassSchedule, DependsOnSeedAndStepAlone) {
  const PassSchedule a = PassSchedule::parse("uniform:1..1000");
  const PassSchedule b = PassSchedule::parse("uniform:1..1000");
  int differ = 0;
  for (int64_t step = 1; step <= 100; ++step) {
    EXPECT_EQ(a.at(1, step, 1000), b.at(1, step, 1000));
    differ += a.at(1, step, 1000) != a.at(2, step, 1000) ? 1 : 0;
  }
  EXPECT_GT(differ, 90);
}

TEST(PassSchedule, IsAllPassesWhereNothingIsSaid) {
  EXPECT_FALSE(PassSchedule::parse("").varies());
  EXPECT_EQ(PassSchedule::parse("").at(1, 1, 6), 6);
}

TEST(PassSchedule, RefusesWhatItCannotRead) {
  for (const char* text : {"uniform", "uniform:3..2", "uniform:0..2", "uniform:1-4", "poisson:0.5",
                           "poisson:", "poisson:1e9", "4", "uniform:1..99999999999"}) {
    EXPECT_THROW(PassSchedule::parse(text), UserError) << text;
  }
}

}  // namespace
}  // namespace rondo
