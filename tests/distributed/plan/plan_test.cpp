#include "distributed/plan/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/user_error.h"
#include "tests/distributed/plan/example_request.h"

namespace rondo {
namespace {

const Candidate& best_on(const Plan& plan, const std::string& route) {
  const Candidate* best = nullptr;
  for (const Candidate& candidate : plan.candidates) {
    if (candidate.route != route || !candidate.simulated) continue;
    if (best == nullptr || candidate.step_s < best->step_s) best = &candidate;
  }
  EXPECT_NE(best, nullptr) << route;
  return *best;
}

double gigabytes(int64_t bytes) { return static_cast<double>(bytes) / 1e9; }

TEST(Plan, WeighsCopiesAgainstMessages) {
  PlanRequest request = billion({"cycle", 4});
  request.route = "contiguous";
  const Plan contiguous = make_plan(request);
  EXPECT_NEAR(gigabytes(contiguous.chosen.bytes.reduce), 4.8, 0.05);
  EXPECT_NEAR(gigabytes(contiguous.chosen.bytes.activation), 0.4, 0.05);
  request.route = "loop";
  request.passes = 6;
  const Plan loop = make_plan(request);
  EXPECT_EQ(loop.chosen.bytes.reduce, 0);
  EXPECT_NEAR(gigabytes(loop.chosen.bytes.activation), 3.1, 0.05);
  EXPECT_EQ(loop.chosen.copies, 0);
  EXPECT_EQ(contiguous.chosen.copies, 16);
}

TEST(Plan, LoopsWhereLinksAreFastAndDoesNotWhereTheyAreSlow) {
  PlanRequest request = billion({"cycle", 4});
  const Plan fast = make_plan(request);
  EXPECT_EQ(fast.chosen.copies, 0);
  EXPECT_GT(fast.placement().passes(), 1);
  EXPECT_LT(fast.chosen.step_s, best_on(fast, "contiguous").step_s);

  // Many microbatches, and messages that take far longer than a chunk: whatever a pass saves in
  // copies, which are summed once a step, it pays many times over.
  request.machine.ranks_per_node = 1;
  request.machine.inter = {5e-3, 2e9};
  request.global_batch = 64;
  const Plan slow = make_plan(request);
  EXPECT_EQ(slow.chosen.route, "contiguous");
}

/// Every candidate simulated.
Candidate by_brute_force(const PlanRequest& request) {
  const CostModel model(request.workload, request.machine);
  std::vector<Candidate> fitting;
  double fastest = 1e9;
  for (Candidate& candidate : candidates(request, model)) {
    simulate_candidate(model, candidate);
    if (!candidate.fits) continue;
    fastest = std::min(fastest, candidate.step_s);
    fitting.push_back(candidate);
  }
  std::erase_if(fitting, [&](const Candidate& c) { return c.step_s > 1.02 * fastest; });
  return *std::min_element(fitting.begin(), fitting.end(),
                           [](const Candidate& a, const Candidate& b) {
                             const auto key = [](const Candidate& c) {
                               return std::pair(c.copies, static_cast<float>(c.step_s));
                             };
                             return key(a) < key(b);
                           });
}

TEST(Plan, IsTheBestOfAllCandidates) {
  int cases = 0;
  for (const SharingOptions& sharing :
       {SharingOptions{"cycle", 4}, SharingOptions{"zigzag", 6}, SharingOptions{"none"},
        SharingOptions{"sequence", 8}, SharingOptions{"universal"}}) {
    for (const double bytes_per_s : {1e9, 2e11}) {
      for (const bool overlap : {false, true}) {
        PlanRequest request = billion(sharing);
        request.pipeline = 0;
        request.workload.zero = cases / 2 % 2;
        request.global_batch = 16;
        request.machine.memory_bytes = overlap ? 0 : 14000000000;
        request.machine.ranks_per_node = 2;
        request.machine.inter.bytes_per_s = bytes_per_s;
        request.machine.reduces_overlap = overlap;
        const Candidate best = by_brute_force(request);
        const Plan plan = make_plan(request);
        EXPECT_EQ(plan.chosen.choice, best.choice) << explain(plan) << "\n"
                                                   << best.route << " " << best.step_s;
        ++cases;
      }
    }
  }
  EXPECT_EQ(cases, 20);
}

/// Two replicas of two stages on two nodes: which two ranks of a node cost less to keep apart?
TEST(Plan, PutsThoseOnANodeWhoSendMore) {
  const auto chosen = [](const SharingOptions& sharing, int64_t batch) {
    PlanRequest request = billion(sharing);
    request.pipeline = 2;
    request.route = "contiguous";
    request.machine.ranks_per_node = 2;
    request.machine.inter = {1e-4, 1e8};
    request.workload.model.spec.vocab = 256;
    request.global_batch = batch;
    return make_plan(request);
  };
  const Plan sums = chosen({"none"}, 4);
  EXPECT_EQ(sums.chosen.choice.neighbours, Neighbours::replicas)
      << "gigabytes of gradients against one microbatch each way";
  const Plan messages = chosen({"sequence", 2}, 1024);
  EXPECT_EQ(messages.chosen.choice.neighbours, Neighbours::stages)
      << "two blocks' gradients against 512 microbatches";
  for (const Plan* plan : {&sums, &messages}) {
    Choice other = plan->chosen.choice;
    other.neighbours =
        other.neighbours == Neighbours::stages ? Neighbours::replicas : Neighbours::stages;
    const auto same =
        std::find_if(plan->candidates.begin(), plan->candidates.end(),
                     [&](const Candidate& candidate) { return candidate.choice == other; });
    ASSERT_NE(same, plan->candidates.end());
    EXPECT_GT(same->step_s, plan->chosen.step_s);
  }
}

/// The defaults of `rondo train sharing=cycle distributed.pipeline=4`.
TEST(Plan, TakesTheFewestCopiesOfWhatIsAsFast) {
  PlanRequest request;
  Workload& work = request.workload;
  work.model.spec = {.hidden = 128, .depth = 8, .heads = 4, .kv_heads = 2, .head_dim = 32};
  work.model.spec.ffn = 352;
  work.model.spec.vocab = 256;
  work.model.sharing = make_sharing_map({"cycle", 4}, 8);
  work.sequence = 256;
  work.micro_batch = 4;
  request.global_batch = 16;
  request.world = request.pipeline = 4;
  request.machine.ranks_per_node = 2;
  request.machine.flops_per_s = 1.8e11;
  request.machine.memory_bytes_per_s = 1.5e10;
  request.machine.intra = {1e-6, 5e9};
  request.machine.inter = {3e-5, 1.25e9};
  request.machine.copies_messages = true;
  const Plan plan = make_plan(request);
  EXPECT_EQ(plan.chosen.copies, 0) << explain(plan);
  const bool another_is_faster =
      std::any_of(plan.candidates.begin(), plan.candidates.end(), [&](const Candidate& c) {
        return c.simulated && c.step_s < plan.chosen.step_s && c.copies > 0;
      });
  EXPECT_TRUE(another_is_faster) << "or this test proves nothing";
}

TEST(Plan, NeverPromisesMoreThanTheBoundAllows) {
  for (const SharingOptions& sharing :
       {SharingOptions{"cycle", 4}, SharingOptions{"cycle_rev", 8}, SharingOptions{"none"}}) {
    for (const bool overlap : {false, true}) {
      PlanRequest request = billion(sharing);
      request.pipeline = 0;
      request.machine.reduces_overlap = overlap;
      request.machine.copies_messages = overlap;
      request.machine.inter.bytes_per_s = 1e10;
      request.machine.ranks_per_node = 2;
      const CostModel model(request.workload, request.machine);
      for (Candidate& candidate : candidates(request, model)) {
        const double bound = candidate.bound_s;
        simulate_candidate(model, candidate);
        EXPECT_GE(candidate.step_s, bound * (1 - 1e-9))
            << candidate.route << " " << schedule_name(candidate.choice.schedule);
      }
    }
  }
}

TEST(Plan, CountsMessagesThatARankHasToCopyInItsBound) {
  PlanRequest request = billion({"cycle", 4});
  request.machine.memory_bytes_per_s = 1e10;
  request.route = "loop";
  request.passes = 6;
  const auto first = [&](bool copies_messages) {
    request.machine.copies_messages = copies_messages;
    return candidates(request, CostModel(request.workload, request.machine)).front();
  };
  // Each of 8 microbatches comes to 6 chunks of a rank and leaves them, both ways; each message is
  // read and written. Some of that fits into what the rank waits anyway.
  const CostModel model(request.workload, request.machine);
  const double message_s = 2.0 * static_cast<double>(model.message_bytes(0)) / 1e10;
  EXPECT_GT(first(true).bound_s - first(false).bound_s, 0.1 * 8 * 22 * message_s);
}

TEST(Plan, SimulatesFewOfTheCandidatesOfADeepModel) {
  PlanRequest request = billion({"universal"});
  request.workload.model.spec.depth = 512;
  request.workload.model.sharing = make_sharing_map({"universal"}, 512);
  request.machine.copies_messages = true;
  request.world = request.pipeline = 2;
  request.global_batch = 16;
  const Plan plan = make_plan(request);
  const auto simulated = std::count_if(plan.candidates.begin(), plan.candidates.end(),
                                       [](const Candidate& c) { return c.simulated; });
  EXPECT_GT(plan.candidates.size(), 2000u);
  EXPECT_LT(simulated, 150);
  for (const Candidate& c : plan.candidates) {
    const bool may_win = c.copies < plan.chosen.copies ||
                         (c.copies == plan.chosen.copies && c.bound_s < plan.chosen.step_s);
    EXPECT_TRUE(c.simulated || !may_win || c.bound_s > 1.01 * plan.chosen.step_s);
  }
}

TEST(Plan, PredictsWhatItsProgramDoes) {
  for (const char* route : {"contiguous", "loop", "vee", "+--"}) {
    PlanRequest request = billion({"cycle", 4});
    request.world = 8;
    request.route = route;
    const Plan plan = make_plan(request);
    int64_t activations = 0;
    int64_t sums = 0;
    for (int64_t bytes : plan.simulation.activation_sent_bytes) activations += bytes;
    for (int64_t bytes : plan.simulation.reduce_sent_bytes) sums += bytes;
    EXPECT_EQ(plan.chosen.bytes.activation, 2 * activations) << route << ", two replicas";
    EXPECT_EQ(plan.chosen.bytes.reduce, 2 * sums) << route;
    std::set<int> summed;
    for (const Action& action : plan.step.program.front()) {
      if (action.op == Op::reduce) summed.insert(action.group);
    }
    for (size_t g = 0; g < plan.step.groups.size(); ++g) {
      const ComponentGroup& group = plan.step.groups[g];
      const bool member = group.pipeline_ranks.front() == 0;
      EXPECT_EQ(summed.contains(static_cast<int>(g)), member && group.members() > 1) << g;
    }
    EXPECT_DOUBLE_EQ(plan.chosen.step_s, plan.simulation.step_s + plan.costs.update_s);
  }
}

TEST(Plan, HasTheBubbleOfTheClosedFormWhereRanksHaveEqualWork) {
  // No head worth mentioning, links and memory that cost nothing.
  PlanRequest request = billion({"none"});
  request.workload.model.spec.vocab = 1;
  request.machine.memory_bytes_per_s = 1e30;
  request.machine.intra = {0.0, 0.0};
  request.schedule = "1f1b";
  request.route = "loop";
  for (const int passes : {1, 2, 3, 6}) {
    request.passes = passes;
    EXPECT_NEAR(make_plan(request).chosen.bubble, 3.0 / (8 * passes + 3), 1e-3) << passes;
  }
}

TEST(Plan, GivesRanksWithAHeavyHeadFewerLayers) {
  PlanRequest request = billion({"none"});
  request.workload.model.spec.vocab = 256000;
  request.route = "contiguous";
  const Plan plan = make_plan(request);
  const Placement& placement = plan.placement();
  EXPECT_LT(placement.chunk(3).halves.end - placement.chunk(3).halves.begin, 8);
  const double even = best_on(plan, "contiguous").step_s;
  EXPECT_DOUBLE_EQ(plan.chosen.step_s, even);
  const auto equal =
      std::find_if(plan.candidates.begin(), plan.candidates.end(), [](const Candidate& candidate) {
        return candidate.choice.placement.cuts() == std::vector<int>{0, 12, 24, 36, 48};
      });
  ASSERT_NE(equal, plan.candidates.end());
  EXPECT_GT(equal->step_s, 1.1 * plan.chosen.step_s);
}

TEST(Plan, MakesNoCopiesForTheSakeOfBalance) {
  PlanRequest request = billion({"cycle", 8});
  request.workload.model.spec.vocab = 256000;
  request.route = "loop";
  request.passes = 3;
  int balanced = 0;
  for (const Candidate& candidate : make_plan(request).candidates) {
    const Chunk last = candidate.choice.placement.chunk(11);
    EXPECT_EQ(candidate.copies, 0);
    balanced += last.halves.end - last.halves.begin < 4 ? 1 : 0;
  }
  EXPECT_GT(balanced, 0) << "the rank of the head runs fewer layers in every pass";

  request = billion({"sequence", 8});
  request.route = "contiguous";
  for (const Candidate& candidate : make_plan(request).candidates) {
    EXPECT_EQ(candidate.copies, 0) << "a cut inside a run of layers copies their block";
  }
}

TEST(Plan, ExtrapolatesTheSteadyStateOfManyMicrobatches) {
  PlanRequest request = billion({"cycle", 4});
  request.global_batch = 2048;
  for (const char* schedule : {"1f1b", "interleaved", "zero_bubble", "gpipe"}) {
    request.schedule = schedule;
    const CostModel model(request.workload, request.machine);
    for (const auto& [route, passes] :
         {std::pair("contiguous", 1), std::pair("loop", 6), std::pair("vee", 2)}) {
      request.route = route;
      request.passes = passes;
      Candidate candidate = candidates(request, model).front();
      simulate_candidate(model, candidate);
      const Plan exact = make_plan(model, candidate.choice);
      EXPECT_NEAR(candidate.step_s / exact.chosen.step_s, 1.0, 2e-3) << schedule << " " << route;
      EXPECT_EQ(candidate.most_memory(), exact.chosen.most_memory()) << schedule << " " << route;
    }
  }
}

TEST(Plan, SplitsLayersWhereBlocksAreFewerThanRanks) {
  PlanRequest request = billion({"cycle", 2});
  request.route = "loop";
  request.passes = 12;
  const Plan plan = make_plan(request);
  EXPECT_EQ(plan.chosen.copies, 0);
  EXPECT_EQ(plan.placement().chunk(0), (Chunk{{0, 1}, 0, true, false}));
}

TEST(Plan, ObeysCutPointsOrSaysWhyNot) {
  PlanRequest request = billion({"none"});
  request.cuts = {0, 6, 20, 30, 48};
  EXPECT_EQ(make_plan(request).placement().cuts(), request.cuts);
  request.cuts = {0, 6, 20, 48};
  EXPECT_EQ(refusal(request).rfind("distributed.cuts = [0, 6, 20, 48]: ", 0), 0u);
}

TEST(Plan, KeepsTheLayersOfAParallelResidualWhole) {
  PlanRequest request = billion({"cycle", 2});
  request.workload.model.spec.family = "gpt_neox";
  for (const Candidate& candidate : make_plan(request).candidates) {
    for (int cut : candidate.choice.placement.cuts()) EXPECT_EQ(cut % 2, 0);
  }
  request.pipeline = 2;
  request.route = "contiguous";
  request.cuts = {0, 23, 48};
  try {
    make_plan(request);
    FAIL() << "cut a layer that cannot be cut";
  } catch (const UserError& error) {
    const std::string line = error.what();
    EXPECT_EQ(line.rfind("distributed.cuts: 23 lies inside layer 11, and this family's", 0), 0u)
        << line;
  }
}

TEST(Plan, OffersHalvesOfLayersWhereNothingElseAvoidsCopies) {
  const PlanRequest request = billion({"cycle", 2});
  const Plan plan = make_plan(request);
  for (const Candidate& candidate : plan.candidates) {
    const Placement& placement = candidate.choice.placement;
    EXPECT_EQ(candidate.copies == 0, placement.size() > 24) << candidate.route;
  }
  EXPECT_TRUE(std::any_of(plan.candidates.begin(), plan.candidates.end(),
                          [](const Candidate& candidate) { return candidate.copies == 0; }));
}

TEST(Plan, IsTheSameOnEveryRank) {
  PlanRequest request = billion({"zigzag", 6});
  request.pipeline = 0;
  const Plan first = make_plan(request);
  const Plan second = make_plan(request);
  EXPECT_EQ(fingerprint(first), fingerprint(second));
  EXPECT_EQ(first.chosen.choice, second.chosen.choice);

  const CostModel model(request.workload, request.machine);
  Choice other = first.chosen.choice;
  other.microbatches += 1;
  EXPECT_NE(fingerprint(make_plan(model, other)), fingerprint(first)) << "another program";
  other = first.chosen.choice;
  other.replicas += 1;
  EXPECT_NE(fingerprint(make_plan(model, other)), fingerprint(first)) << "other groups";
}

TEST(Plan, SaysWhyTheWinnerWon) {
  const Plan plan = make_plan(billion({"cycle", 4}));
  EXPECT_NE(explain(plan).find(" faster than pipeline 4 on "), std::string::npos) << explain(plan);
}

}  // namespace
}  // namespace rondo
