#include "distributed/plan/schedule/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/user_error.h"
#include "distributed/plan/schedule/check.h"
#include "distributed/plan/schedule/lower.h"
#include "distributed/plan/schedule/schedule_text.h"
#include "distributed/plan/schedule/simulate.h"
#include "tests/distributed/plan/small_model.h"

namespace rondo {
namespace {

constexpr ScheduleKind all_kinds[] = {ScheduleKind::gpipe, ScheduleKind::one_forward_one_backward,
                                      ScheduleKind::interleaved, ScheduleKind::zero_bubble};

/// One layer a chunk, every layer its own block.
Placement placement_of(int pipeline, const std::string& route) {
  const int depth = pipeline * static_cast<int>(route.size());
  return make_placement({pipeline, route}, small_model(make_sharing_map({"none"}, depth)));
}

Simulation run(const ScheduleOptions& options, const Placement& placement,
               const ChunkCost& cost = {}) {
  const Program program = lower(generate(options, placement), placement, {});
  StepCosts costs;
  costs.chunks.assign(placement.chunks.size(), cost);
  return simulate(program, placement, {}, costs);
}

std::string compute_csv(ScheduleKind kind, int pipeline, const std::string& route, int m) {
  return to_csv(generate({kind, m}, placement_of(pipeline, route)));
}

TEST(Schedule, IsTheOneOfTheBooks) {
  EXPECT_EQ(compute_csv(ScheduleKind::gpipe, 2, "+", 3),
            "0F0,0F1,0F2,0B0,0B1,0B2\n"
            "1F0,1F1,1F2,1B0,1B1,1B2\n");
  EXPECT_EQ(compute_csv(ScheduleKind::one_forward_one_backward, 3, "+", 4),
            "0F0,0F1,0F2,0B0,0F3,0B1,0B2,0B3\n"
            "1F0,1F1,1B0,1F2,1B1,1F3,1B2,1B3\n"
            "2F0,2B0,2F1,2B1,2F2,2B2,2F3,2B3\n");
  EXPECT_EQ(compute_csv(ScheduleKind::interleaved, 2, "++", 4),
            "0F0,0F1,2F0,2F1,0F2,2B0,0F3,2B1,2F2,0B0,2F3,0B1,2B2,2B3,0B2,0B3\n"
            "1F0,1F1,3F0,3B0,3F1,3B1,1F2,1B0,1F3,1B1,3F2,3B2,3F3,3B3,1B2,1B3\n");
  EXPECT_EQ(compute_csv(ScheduleKind::zero_bubble, 2, "+-", 2),
            "0F0,0F1,3F0,3I0,3F1,3I1,0I0,0W0,0I1,3W0,0W1,3W1\n"
            "1F0,2F0,1F1,2F1,2I0,1I0,2I1,1I1,1W0,2W0,1W1,2W1\n");
}

TEST(Schedule, HasTheBubbleOfTheClosedFormOnLoops) {
  for (const ScheduleKind kind :
       {ScheduleKind::gpipe, ScheduleKind::one_forward_one_backward, ScheduleKind::interleaved}) {
    for (int P = 1; P <= 8; ++P) {
      for (int V = 1; V <= (kind == ScheduleKind::gpipe ? 1 : 4); ++V) {
        for (int m = P; m <= 4 * P; m += P) {
          const Simulation result = run({kind, m}, placement_of(P, std::string(V, '+')));
          EXPECT_NEAR(result.bubble, (P - 1.0) / (m * V + P - 1.0), 1e-12)
              << schedule_name(kind) << " P=" << P << " V=" << V << " m=" << m;
        }
      }
    }
  }
}

TEST(Schedule, FillsTheBubbleWithDeferredGradientsWithinTheMemoryOf1F1B) {
  const Placement vee = placement_of(8, "+-");
  const Simulation zero_bubble = run({ScheduleKind::zero_bubble, 32}, vee);
  // 199 steps of which 192 are work: nobody waits but for the first activation.
  EXPECT_DOUBLE_EQ(zero_bubble.step_s, 32 * 6 + 7);
  EXPECT_LE(zero_bubble.bubble, 0.04);

  const Placement one_pass = placement_of(8, "+");
  const Simulation classic = run({ScheduleKind::one_forward_one_backward, 32}, one_pass);
  EXPECT_DOUBLE_EQ(classic.step_s / (32 * 3) - 1, 0.21875);
  // A chunk of the vee is half a chunk of the single pass.
  const int most = *std::max_element(zero_bubble.peak_live.begin(), zero_bubble.peak_live.end());
  EXPECT_LE(most, 2 * classic.peak_live[0]);
}

TEST(Schedule, LeavesZeroBubbleNoWorseThan1F1BOnAnyRoute) {
  for (const char* route : {"+", "++", "+-", "++-", "+-+-", "++++", "-+"}) {
    for (const int P : {2, 4, 8}) {
      const Placement placement = placement_of(P, route);
      const double zero_bubble = run({ScheduleKind::zero_bubble, 4 * P}, placement).step_s;
      const double classic = run({ScheduleKind::one_forward_one_backward, 4 * P}, placement).step_s;
      EXPECT_LE(zero_bubble, classic) << route << " P=" << P;
    }
  }
}

TEST(Schedule, LowersToAProgramThatPassesTheCheckOnEveryRoute) {
  int programs = 0;
  for (const char* route : {"+", "-", "++", "+-", "-+", "++-", "+--", "+-+-", "++++", "-++-+"}) {
    for (int P = 1; P <= 5; ++P) {
      const Placement placement = placement_of(P, route);
      const ModelDefinition model = small_model(make_sharing_map({"none"}, placement.size()), true);
      for (const int m : {1, 2, 3, 5, 7, 8, 13}) {
        for (const ScheduleKind kind : all_kinds) {
          const ScheduleOptions options{kind, m};
          const StepSpec step{placement, m, summed_groups(model, placement, 2),
                              live_bounds(options, placement)};
          const Program program = lower(generate(options, placement), placement, step.groups);
          const std::vector<std::string> complaints = check(program, step);
          ASSERT_TRUE(complaints.empty()) << schedule_name(kind) << " on " << route << " P=" << P
                                          << " m=" << m << ": " << complaints.front();
          ++programs;
        }
      }
    }
  }
  EXPECT_EQ(programs, 10 * 5 * 7 * 4);
}

TEST(Schedule, AdaptsZeroBubbleToChunksThatTakeLonger) {
  const Placement placement = placement_of(4, "+-");
  std::vector<ChunkCost> uneven(8);
  uneven.back() = {3.0, 3.0, 1.0};  // a head
  StepCosts costs;
  costs.chunks = uneven;
  const auto step_s = [&](const std::vector<ChunkCost>& known) {
    const ScheduleOptions options{ScheduleKind::zero_bubble, 16, known};
    return simulate(lower(generate(options, placement), placement, {}), placement, {}, costs)
        .step_s;
  };
  EXPECT_LT(step_s(uneven), step_s({}));
}

TEST(Schedule, IsAsGoodHoweverManyMicrobatches) {
  // 50,000 squared is more than an int holds.
  for (const char* route : {"+", "++", "+-"}) {
    const Placement placement = placement_of(2, route);
    for (const ScheduleKind kind : all_kinds) {
      const double some = run({kind, 500}, placement).step_s / 500;
      EXPECT_NEAR(run({kind, 50000}, placement).step_s / 50000 / some, 1.0, 0.02)
          << schedule_name(kind) << " on " << route;
    }
  }
}

TEST(Schedule, IsKnownByName) {
  for (const ScheduleKind kind : all_kinds) EXPECT_EQ(parse_schedule(schedule_name(kind)), kind);
  EXPECT_THROW(parse_schedule("2f2b"), UserError);
  EXPECT_THROW(generate({ScheduleKind::gpipe, 0}, placement_of(2, "+")), UserError);
}

}  // namespace
}  // namespace rondo
