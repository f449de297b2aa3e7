#include "training/time_left.h"

#include <gtest/gtest.h>

namespace rondo {
namespace {

TEST(Occasion, ComesAfterEveryNthStepAndTheLast) {
  for (const Occasion occasion :
       {Occasion{3, 10}, Occasion{5, 10}, Occasion{0, 10}, Occasion{20, 10}}) {
    for (int64_t step = 0; step <= 10; ++step) {
      int64_t left = 0;
      for (int64_t later = step + 1; later <= 10; ++later) left += occasion.after(later) ? 1 : 0;
      EXPECT_EQ(occasion.left_after(step), left) << occasion.every << " after " << step;
    }
  }
  EXPECT_FALSE((Occasion{0, 0}).after(5));
  EXPECT_EQ((Occasion{0, 0}).left_after(0), 0);
}

TEST(TimeLeft, IsStepsAloneWithoutEvaluationsAndSaves) {
  TimeLeft left(51, {}, {0, 51}, {});
  left.add_step(2.0);
  EXPECT_EQ(left.after(1), 100.0);
  EXPECT_EQ(left.after(51), 0.0);
}

TEST(TimeLeft, CountsEvaluationsByAGuessUntilOneWasTimed) {
  TimeLeft left(100, {10, 100}, {0, 100}, {.evaluation_steps = 4.0});
  left.add_step(1.0);
  EXPECT_EQ(left.after(5), 95.0 + 10 * 4.0);
  left.add_evaluation(7.0);
  EXPECT_EQ(left.after(10), 90.0 + 9 * 7.0);
}

TEST(TimeLeft, CountsSavesOfWhichTheLastIsWaitedFor) {
  TimeLeft left(100, {}, {25, 100}, {.save_s = 3.0});
  left.add_step(1.0);
  EXPECT_EQ(left.after(1), 99.0 + 4 * 3.0);
  left.add_save(0.5);  // in the background
  EXPECT_EQ(left.after(25), 75.0 + 2 * 0.5 + 3.0);
}

TEST(TimeLeft, FollowsWhatIsRecent) {
  TimeLeft left(10, {}, {}, {});
  left.add_step(1.0);
  left.add_step(2.0);
  EXPECT_DOUBLE_EQ(left.after(2), 8 * 1.1);
}

}  // namespace
}  // namespace rondo
