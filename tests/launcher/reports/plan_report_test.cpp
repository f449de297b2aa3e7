#include "launcher/reports/plan_report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "launcher/config/compose.h"
#include "launcher/config/config.h"
#include "launcher/reports/timeline.h"
#include "training/start/plan_request.h"

namespace rondo {
namespace {

using nlohmann::json;

/// 16 layers, two a chunk, on 4 ranks and back to them: one copy of each block.
const std::vector<std::string> looped = {"model.depth=16",         "sharing=cycle",
                                         "sharing.unique=8",       "distributed.pipeline=4",
                                         "distributed.route=loop", "distributed.passes=2",
                                         "train.global_batch=16",  "train.micro_batch=1"};

struct Planned {
  PlanRequest request;
  Plan plan;
};

Planned planned(std::vector<std::string> overrides, int world) {
  overrides.insert(overrides.begin(), looped.begin(), looped.end());
  const PlanRequest request = plan_request(parse_config(compose("configs", overrides)), world);
  return {request, make_plan(request)};
}

json json_of(const Planned& planned) {
  return json::parse(plan_json(planned.plan, planned.request.workload));
}

TEST(PlanJson, ListsTheLayersAndComponentsOfEveryPipelineRank) {
  const json plan = json_of(planned({}, 4));
  ASSERT_EQ(plan.at("pipeline_ranks").size(), 4u);
  EXPECT_EQ(plan["pipeline_ranks"][0].at("chunks"), json::parse("[[0,1],[8,9]]"));
  EXPECT_EQ(plan["pipeline_ranks"][3]["chunks"], json::parse("[[6,7],[14,15]]"));
  const std::vector<std::string> first = plan["pipeline_ranks"][0].at("components");
  EXPECT_EQ(first.front(), "embedding");
  EXPECT_EQ(first[1], "attention/0");
  EXPECT_EQ(first[2], "attention/1");
  EXPECT_EQ(first.size(), 9u);
}

TEST(PlanJson, NumbersWhatTheContractNames) {
  const json plan = json_of(planned({}, 8));
  EXPECT_TRUE(plan.at("bubble").is_number());
  EXPECT_GT(plan.at("step_s").get<double>(), 0.0);
  EXPECT_EQ(plan.at("memory_bytes").size(), 4u);
  EXPECT_GT(plan["memory_bytes"][0].get<int64_t>(), 0);
  for (const char* kind : {"activation", "reduce", "gather"}) {
    EXPECT_TRUE(plan.at("bytes").at(kind).is_number_integer());
  }
  // 16 microbatches over 2 replicas, 7 messages there and 7 back, of one sequence each.
  const int64_t message = plan["bytes"]["activation"].get<int64_t>() / (16 * 14);
  EXPECT_EQ(message * 16 * 14, plan["bytes"]["activation"].get<int64_t>());
  EXPECT_FALSE(plan.at("candidates").empty());
  EXPECT_TRUE(plan["candidates"][0].at("simulated").get<bool>());
}

TEST(PlanJson, HasEveryComponentInOneReplicaGroupAndAddsUpTheirBytes) {
  const json plan = json_of(planned({"distributed.zero=1"}, 8));
  std::set<std::string> components;
  std::set<std::vector<int>> members;
  int64_t bytes = 0;
  size_t count = 0;
  for (const json& group : plan.at("replica_groups")) {
    EXPECT_TRUE(members.insert(group.at("world_ranks").get<std::vector<int>>()).second);
    for (const json& component : group.at("components")) components.insert(component);
    count += group["components"].size();
    bytes += group.at("bytes").get<int64_t>();
  }
  EXPECT_EQ(components.size(), count);
  EXPECT_EQ(bytes, plan["bytes"]["reduce"].get<int64_t>());
  EXPECT_GT(plan["bytes"]["gather"].get<int64_t>(), 0);
  EXPECT_TRUE(members.contains({0, 4})) << "rank 0 of the pipeline, in both replicas";
}

TEST(PlanJson, NamesTheComponentsThatHaveCopies) {
  // The tied embedding is needed where the loop begins and where it ends.
  EXPECT_EQ(json_of(planned({}, 4)).at("copies"), json::parse(R"(["embedding"])"));
  EXPECT_EQ(json_of(planned({"model.tie_embeddings=false"}, 4)).at("copies"), json::array());
}

TEST(PlanReport, ShowsTheCandidatesTheWinnerAndTheRanks) {
  const Planned p = planned({"distributed.passes=auto", "distributed.route=auto"}, 4);
  const std::string text = plan_report(p.request, p.plan);
  EXPECT_NE(text.find("\n> "), std::string::npos) << text;
  EXPECT_NE(text.find("contiguous"), std::string::npos);
  EXPECT_NE(text.find("loop"), std::string::npos);
  EXPECT_NE(text.find(explain(p.plan)), std::string::npos);
  EXPECT_NE(text.find("rank 3: layers "), std::string::npos);
}

TEST(PlanReport, MarksHalvesOfLayers) {
  const Planned p = planned({"distributed.cuts=[0,3,8,13,16,17,22,24,32]"}, 4);
  const std::string text = plan_report(p.request, p.plan);
  EXPECT_NE(text.find("rank 0: layers 0-1a | 8a;"), std::string::npos) << text;
  EXPECT_NE(text.find("rank 1: layers 1f-3 | 8f-10;"), std::string::npos) << text;
}

Timeline timeline_of(const Plan& plan) {
  return {plan.placement(), plan.simulation.timeline, plan.costs.update_s, "a < b & c"};
}

size_t count(const std::string& text, const std::string& word) {
  size_t n = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++n;
  return n;
}

TEST(TimelineSvg, HasARowPerRankAndABoxPerComputation) {
  const Planned p = planned({"distributed.schedule=zero_bubble"}, 4);
  const std::string svg = timeline_svg(timeline_of(p.plan));
  EXPECT_EQ(count(svg, "class=\"rank\""), 4u);
  EXPECT_EQ(count(svg, "a &lt; b &amp; c"), 1u);
  EXPECT_GE(count(svg, "<rect"), 8u * 16u * 3u);
  EXPECT_EQ(count(svg, "weight gradient"), 1u);
  EXPECT_EQ(count(svg, "nan"), 0u);
}

TEST(TimelineTrace, SaysOfASumWhichGroupItIsOf) {
  const Planned p = planned({}, 4);
  const json trace = json::parse(timeline_trace(timeline_of(p.plan)));
  for (const json& event : trace.at("traceEvents")) {
    if (event.at("ph") != "X" || !event.contains("args")) continue;
    const bool sum = event.at("cat") == "sum";
    EXPECT_EQ(event.at("args").contains("group"), sum);
    EXPECT_EQ(event.at("args").contains("chunk"), !sum);
    if (sum) {
      EXPECT_EQ(event.at("name"),
                std::to_string(event["args"]["group"].get<int>()) + "REDUCE_GRAD");
    }
  }
}

TEST(TimelineTrace, HasEveryActionOnceWithItsTime) {
  const Planned p = planned({}, 4);
  const json trace = json::parse(timeline_trace(timeline_of(p.plan)));
  int computations = 0;
  int messages = 0;
  for (const json& event : trace.at("traceEvents")) {
    const std::string phase = event.at("ph");
    if (phase == "X" && event.at("cat") == "compute") {
      ++computations;
      EXPECT_GE(event.at("dur").get<double>(), 0.0);
    }
    messages += phase == "b" ? 1 : 0;
    messages -= phase == "e" ? 1 : 0;
  }
  EXPECT_EQ(computations,
            8 * 16 * (p.plan.chosen.choice.schedule == ScheduleKind::zero_bubble ? 3 : 2));
  EXPECT_EQ(messages, 0);
}

}  // namespace
}  // namespace rondo
