// What the planner refuses, and with which words.
#include <gtest/gtest.h>

#include "distributed/plan/schedule/lower.h"
#include "distributed/plan/schedule/schedule_text.h"
#include "tests/distributed/plan/example_request.h"

namespace rondo {
namespace {

TEST(Plan, RunsAnOrderThatSomebodyWroteAndRefusesOneThatDoesNotFit) {
  PlanRequest request = billion({"cycle", 6});
  request.world = request.pipeline = 4;
  request.route = "loop";
  request.schedule = "zero_bubble";
  const Plan generated = make_plan(request);
  request.schedule = "given";
  request.given = computations_of(generated.step.program);
  const Plan given = make_plan(request);
  EXPECT_EQ(given.step.program, generated.step.program);
  EXPECT_EQ(given.simulation.step_s, generated.simulation.step_s);
  EXPECT_EQ(given.chosen.memory_bytes, generated.chosen.memory_bytes);
  const Action dropped = request.given[1].back();
  request.given[1].pop_back();
  EXPECT_NE(refusal(request).find(to_text(dropped) + " is missing"), std::string::npos)
      << refusal(request);
  request.given.pop_back();
  EXPECT_NE(refusal(request).find("3 lines for 4 pipeline ranks"), std::string::npos)
      << refusal(request);
}

TEST(Plan, RefusesWhatCannotBeAndNamesTheNearestThatCan) {
  PlanRequest request = billion({"cycle", 4});
  request.pipeline = 3;
  EXPECT_EQ(refusal(request),
            "distributed.pipeline = 3 does not divide the 4 ranks; closest valid value: 2");
  request = billion({"cycle", 4});
  request.world = 64;
  EXPECT_EQ(refusal(request),
            "train.global_batch = 8: 16 data replicas of train.micro_batch = 1 need a multiple of "
            "16; closest valid value: 16, or distributed.pipeline=8");
  request = billion({"cycle", 4});
  request.passes = 13;
  EXPECT_EQ(refusal(request).rfind("distributed.passes = 13: 52 chunks on 4 ranks, but ", 0), 0u)
      << refusal(request);
  request.passes = 0;
  request.schedule = "2f2b";
  EXPECT_EQ(refusal(request).rfind("distributed.schedule = 2f2b: ", 0), 0u);
  request = billion({"cycle", 4});
  request.route = "lop";
  EXPECT_EQ(refusal(request).rfind("distributed.route = lop: ", 0), 0u);
}

TEST(Plan, RefusesWhatDoesNotFitInMemoryAndNamesTheNearestThatDoes) {
  PlanRequest request = billion({"none"});
  const auto nearest = [&](int64_t megabytes) {
    request.machine.memory_bytes = megabytes * 1000000;
    const std::string line = refusal(request);
    EXPECT_EQ(line.rfind("no plan fits in cluster.device_memory_gb = ", 0), 0u) << line;
    return line.substr(line.find("closest valid value: ") + 21);
  };
  EXPECT_EQ(nearest(100), "a smaller model, or more ranks");
  request.pipeline = 1;
  EXPECT_EQ(nearest(16000), "distributed.zero=1");
  request.workload.zero = 1;
  EXPECT_EQ(nearest(11000), "distributed.pipeline=auto");
  request.workload.micro_batch = 2;
  request.pipeline = 4;
  EXPECT_EQ(nearest(8000), "train.recompute=layer");

  request = billion({"none"});
  request.pipeline = 0;
  request.world = 4;
  request.machine.memory_bytes = 12000000000;
  const Plan plan = make_plan(request);
  EXPECT_GT(plan.placement().pipeline, 1) << "one device cannot hold 24 unshared layers";
  EXPECT_LE(plan.chosen.most_memory(), request.machine.memory_bytes);
}

}  // namespace
}  // namespace rondo
