#include "distributed/plan/step_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "base/user_error.h"
#include "distributed/plan/plan.h"
#include "model/definition/recurrence.h"

namespace rondo {
namespace {

SharingMap map_of(const SharingOptions& options, int depth) {
  return make_sharing_map(options, depth);
}

TEST(Recurrence, IsFoundBetweenLayersOfTheirOwn) {
  EXPECT_EQ(recurrence(map_of({.strategy = "cycle", .unique = 3}, 12)), (Recurrence{0, 3, 4, 0}));
  EXPECT_EQ(recurrence(map_of({.strategy = "cycle", .unique = 2, .prelude = 1, .coda = 2}, 9)),
            (Recurrence{1, 2, 3, 2}));
  EXPECT_EQ(recurrence(map_of({.strategy = "zigzag", .unique = 2}, 8)), (Recurrence{0, 4, 2, 0}));
  EXPECT_EQ(recurrence(map_of({.strategy = "universal"}, 5)), (Recurrence{0, 1, 5, 0}));
  EXPECT_EQ(recurrence(map_of({.strategy = "cycle", .unique = 3, .norms = "none"}, 6)),
            (Recurrence{0, 3, 2, 0}))
      << "slots that share nothing do not matter";
  EXPECT_EQ(recurrence(map_of({.strategy = "sequence", .unique = 2}, 4)), std::nullopt);
  EXPECT_EQ(recurrence(map_of({.strategy = "cycle", .unique = 4}, 6)), std::nullopt);
  EXPECT_EQ(recurrence(map_of({}, 4)), std::nullopt);
}

Workload workload(const SharingMap& map, int64_t rank) {
  Workload work;
  work.model.spec = {
      .hidden = 16, .heads = 2, .kv_heads = 2, .head_dim = 8, .ffn = 32, .vocab = 50};
  work.model.spec.depth = map.depth();
  work.model.sharing = map;
  work.model.relaxation_rank = rank;
  work.sequence = 8;
  return work;
}

Plan plan_of(const Workload& work, const std::string& route, int pipeline, int replicas,
             const std::string& schedule) {
  PlanRequest request;
  request.workload = work;
  request.pipeline = pipeline;
  request.route = route;
  request.world = pipeline * replicas;
  request.schedule = schedule;
  request.global_batch = 6 * replicas;
  return make_plan(request);
}

/// Every component that some chunk of the rank uses, without those that only others use.
std::set<Component> used_on(const StepPlan& step, int rank) {
  std::set<Component> used;
  for (int k : step.placement.chunks_of(rank)) {
    const auto list = components_of(step.model, step.placement.chunk(k));
    used.insert(list.begin(), list.end());
  }
  return used;
}

/// `check` has passed inside plan_step; here: no weight moves, and the right layers run.
void expect_sound(const StepPlan& whole, const StepShape& depth) {
  const StepPlan step = plan_step(whole, depth);
  const Recurrence all = *recurrence(whole.model.sharing);
  const int layers = all.prelude + depth.passes * all.period + all.coda;
  EXPECT_EQ(step.model.depth(), layers);
  const std::vector<int> cuts = step.placement.cuts();
  EXPECT_EQ(cuts.back(), 2 * layers);
  EXPECT_TRUE(std::is_sorted(cuts.begin(), cuts.end()));
  for (int rank = 0; rank < whole.placement.pipeline; ++rank) {
    const auto had = used_on(whole, rank);
    for (const Component& component : used_on(step, rank)) {
      EXPECT_TRUE(had.contains(component))
          << to_string(component) << " would have to move to rank " << rank;
    }
  }
  const int trained = depth.trained_passes == 0 ? depth.passes : depth.trained_passes;
  const int first =
      trained >= depth.passes ? 0 : all.prelude + (depth.passes - trained) * all.period;
  for (const Chunk& chunk : step.placement.chunks) {
    EXPECT_EQ(chunk.trained, chunk.halves.begin >= 2 * first);
    EXPECT_TRUE(chunk.trained || chunk.halves.end <= 2 * first);
  }
}

TEST(PlanStep, LeavesEveryWeightWhereItIs) {
  int tried = 0;
  for (const SharingOptions& options :
       {SharingOptions{.strategy = "cycle", .unique = 2, .prelude = 1},
        SharingOptions{.strategy = "cycle", .unique = 4},
        SharingOptions{.strategy = "cycle", .unique = 2, .prelude = 1, .coda = 1},
        SharingOptions{.strategy = "universal", .prelude = 2, .coda = 1}}) {
    const int around = options.prelude + options.coda;
    const int depth = around + 4 * (options.strategy == "universal" ? 1 : options.unique);
    const Workload work = workload(map_of(options, depth), /*rank=*/2);
    for (const char* route : {"auto", "contiguous", "loop", "vee"}) {
      for (const char* schedule : {"gpipe", "1f1b", "interleaved", "zero_bubble"}) {
        for (const int pipeline : {1, 2, 4}) {
          Plan plan;
          try {
            plan = plan_of(work, route, pipeline, 2, schedule);
          } catch (const UserError&) {
            continue;
          }
          for (int passes = 1; passes <= 4; ++passes) {
            for (int trained = 0; trained <= 2; ++trained) {
              SCOPED_TRACE(options.strategy + std::to_string(options.unique) + " " + route + " " +
                           schedule + " P " + std::to_string(pipeline) + " passes " +
                           std::to_string(passes) + " trained " + std::to_string(trained));
              expect_sound(plan.step, {passes, trained, /*microbatches=*/trained});
              ++tried;
            }
          }
        }
      }
    }
  }
  EXPECT_GT(tried, 1500);
}

TEST(PlanStep, AllPassesIsThePlanItself) {
  const Workload work = workload(map_of({.strategy = "cycle", .unique = 4}, 16), 0);
  const Plan plan = plan_of(work, "loop", 4, 1, "gpipe");
  const StepPlan all = plan_step(plan.step, {4, 0});
  EXPECT_EQ(all.placement, plan.step.placement);
  EXPECT_EQ(all.groups, plan.step.groups);
  EXPECT_EQ(all.model.depth(), plan.step.model.depth());
}

TEST(PlanStep, FewerMicrobatchesAreAllThatASmallerBatchChanges) {
  const Workload work = workload(map_of({.strategy = "cycle", .unique = 4}, 16), 0);
  const Plan plan = plan_of(work, "loop", 4, 1, "1f1b");
  const StepPlan less = plan_step(plan.step, {.microbatches = 2});
  EXPECT_EQ(less.placement, plan.step.placement);
  EXPECT_EQ(less.groups, plan.step.groups);
  std::set<int> loaded;
  for (const Action& action : less.program.front()) {
    if (action.op == Op::forward) loaded.insert(action.microbatch);
  }
  EXPECT_EQ(loaded, (std::set<int>{0, 1}));
}

TEST(PlanStep, RefusesPassesThatTheMapDoesNotHave) {
  const Workload work = workload(map_of({.strategy = "cycle", .unique = 2}, 6), 0);
  const Plan plan = plan_of(work, "loop", 2, 1, "1f1b");
  EXPECT_THROW(plan_step(plan.step, {-1, 0}), std::logic_error);
  EXPECT_THROW(plan_step(plan.step, {4, 0}), std::logic_error);
}

}  // namespace
}  // namespace rondo
