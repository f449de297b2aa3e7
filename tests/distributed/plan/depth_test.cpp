#include "distributed/plan/depth.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "base/user_error.h"
#include "distributed/plan/cost.h"

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
  work.model = {.hidden = 16, .heads = 2, .kv_heads = 2, .head_dim = 8, .ffn = 32, .vocab = 50};
  work.model.depth = map.depth();
  work.map = map;
  work.relaxation_rank = rank;
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
std::set<std::string> used_on(const StepPlan& step, ModelParts parts, int rank) {
  parts.layers = step.layers;
  std::set<std::string> used;
  for (int k : step.placement.chunks_of(rank)) {
    const auto list = components_of(parts, step.placement.chunk(k));
    used.insert(list.begin(), list.end());
  }
  return used;
}

/// `check` has passed inside step_of; here: no weight moves, and the right layers run.
void expect_sound(const Plan& plan, const ModelParts& parts, const StepDepth& depth) {
  const StepPlan step = step_of(plan, parts, depth);
  const Recurrence all = *recurrence(parts.map);
  EXPECT_EQ(static_cast<int>(step.layers.size()),
            all.prelude + depth.passes * all.period + all.coda);
  EXPECT_EQ(step.placement.cuts.back(), 2 * static_cast<int>(step.layers.size()));
  EXPECT_TRUE(std::is_sorted(step.placement.cuts.begin(), step.placement.cuts.end()));
  const StepPlan whole = whole_step(plan, parts);
  for (int rank = 0; rank < plan.placement().pipeline; ++rank) {
    const auto had = used_on(whole, parts, rank);
    for (const std::string& component : used_on(step, parts, rank)) {
      EXPECT_TRUE(had.contains(component)) << component << " would have to move to rank " << rank;
    }
  }
  const int trained = depth.trained_passes == 0 ? depth.passes : depth.trained_passes;
  const int first =
      trained >= depth.passes ? 0 : all.prelude + (depth.passes - trained) * all.period;
  EXPECT_EQ(step.placement.cuts[static_cast<size_t>(step.placement.trained_from)], 2 * first);
}

TEST(StepOf, LeavesEveryWeightWhereItIs) {
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
              expect_sound(plan, work.parts(), {passes, trained});
              ++tried;
            }
          }
        }
      }
    }
  }
  EXPECT_GT(tried, 1500);
}

TEST(StepOf, AllPassesIsThePlanItself) {
  const Workload work = workload(map_of({.strategy = "cycle", .unique = 4}, 16), 0);
  const Plan plan = plan_of(work, "loop", 4, 1, "gpipe");
  const StepPlan whole = whole_step(plan, work.parts());
  const StepPlan all = step_of(plan, work.parts(), {4, 0});
  EXPECT_EQ(all.placement.cuts, whole.placement.cuts);
  EXPECT_EQ(all.groups, whole.groups);
  EXPECT_EQ(all.reduced_groups, whole.reduced_groups);
  EXPECT_EQ(all.layers, whole.layers);
}

TEST(StepOf, RefusesPassesThatTheMapDoesNotHave) {
  const Workload work = workload(map_of({.strategy = "cycle", .unique = 2}, 6), 0);
  const Plan plan = plan_of(work, "loop", 2, 1, "1f1b");
  EXPECT_THROW(step_of(plan, work.parts(), {0, 0}), std::logic_error);
  EXPECT_THROW(step_of(plan, work.parts(), {4, 0}), std::logic_error);
}

}  // namespace
}  // namespace rondo
