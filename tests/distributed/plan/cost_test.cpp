#include "distributed/plan/cost.h"

#include <gtest/gtest.h>

#include <limits>

#include "distributed/plan/route.h"
#include "model/definition/parameters.h"

namespace rondo {
namespace {

/// Two heads of 4, so that queries have 8 and keys 4 elements.
Workload tiny(const SharingOptions& sharing, int depth) {
  Workload work;
  work.model.spec.hidden = 8;
  work.model.spec.depth = depth;
  work.model.spec.heads = 2;
  work.model.spec.kv_heads = 1;
  work.model.spec.head_dim = 4;
  work.model.spec.ffn = 16;
  work.model.spec.vocab = 100;
  work.model.spec.tie_embeddings = false;
  work.model.sharing = make_sharing_map(sharing, depth);
  work.sequence = 10;
  work.micro_batch = 3;
  return work;
}

/// One operation a second; memory costs nothing.
Machine counting() {
  Machine machine;
  machine.flops_per_s = 1.0;
  machine.memory_bytes_per_s = std::numeric_limits<double>::infinity();
  return machine;
}

constexpr double tokens = 3 * 10;
constexpr double attention_weights = 8 * 8 + 2 * 4 * 8 + 8 * 8;
constexpr double feed_forward_weights = 3 * 8 * 16;

TEST(Cost, CountsTheOperationsOfAHalfLayerByHand) {
  const CostModel model(tiny({"none"}, 4), counting());
  const ChunkCost attention = model.chunk({.halves = {2, 3}}, false);
  // 10 positions, half of them masked, 8 elements of queries, two products of 2 operations.
  const double scores = tokens * 10 * 8 / 2 * 2 * 2;
  EXPECT_DOUBLE_EQ(attention.forward_s, 2 * tokens * attention_weights + scores);
  EXPECT_DOUBLE_EQ(attention.backward_input_s, 2 * tokens * attention_weights + 2 * scores);
  EXPECT_DOUBLE_EQ(attention.backward_weight_s, 2 * tokens * attention_weights);
  const ChunkCost feed_forward = model.chunk({.halves = {3, 4}}, false);
  EXPECT_DOUBLE_EQ(seconds(feed_forward), 6 * tokens * feed_forward_weights);
  EXPECT_DOUBLE_EQ(seconds(model.chunk({.halves = {2, 6}}, false)),
                   2 * (seconds(attention) + seconds(feed_forward)));
}

TEST(Cost, ChargesAWindowForTheScoresThatItsMaskHides) {
  Workload work = tiny({"none"}, 4);
  const double whole = CostModel(work, counting()).chunk({.halves = {2, 3}}, false).forward_s;
  work.model.spec.window = 4;
  work.model.spec.window_layers = "fs";
  const CostModel model(work, counting());
  EXPECT_DOUBLE_EQ(model.chunk({.halves = {2, 3}}, false).forward_s,
                   whole + tokens * 10 * 8 / 2 * 2 * 2);
  EXPECT_DOUBLE_EQ(model.chunk({.halves = {4, 5}}, false).forward_s, whole)
      << "layer 2 does not slide";
  work.model.spec.window = 10;
  EXPECT_DOUBLE_EQ(CostModel(work, counting()).chunk({.halves = {2, 3}}, false).forward_s, whole);
}

TEST(Cost, ChargesNormsOfPassesWhereTheyStandAndScalesEverywhere) {
  Workload work = tiny({"cycle", 2}, 4);
  const auto live = [&](int half) {
    return CostModel(work, counting()).chunk({.halves = {half, half + 1}}, false).live_bytes;
  };
  const int64_t stream = 3 * 10 * 8 * 4;
  const std::vector<int64_t> plain = {live(2), live(3), live(7)};
  work.model.spec.pass_norm = "own";
  EXPECT_EQ(live(2), plain[0]);
  EXPECT_EQ(live(3), plain[1] + 2 * stream) << "after the first pass";
  EXPECT_EQ(live(7), plain[2]) << "the final norm follows the last";
  work.model.spec.branch_scales = true;
  EXPECT_EQ(live(2), plain[0] + 2 * stream);
}

TEST(Cost, ChargesTheHeadToTheChunkThatEndsAndAllOfItForward) {
  const CostModel model(tiny({"none"}, 4), counting());
  const double head = model.chunk({.halves = {6, 8}, .ends_with_head = true}, false).forward_s -
                      model.layers({6, 8}, false).forward_s;
  EXPECT_DOUBLE_EQ(head, 6 * tokens * 100 * 8);
  EXPECT_DOUBLE_EQ(seconds(model.chunk({.halves = {0, 2}, .embeds = true}, false)),
                   seconds(model.layers({0, 2}, false)))
      << "looking up the embedding multiplies nothing";
}

TEST(Cost, AddsUpToTheOperationsThatTheModelCounts) {
  for (const int64_t rank : {0, 3}) {
    Workload work = tiny({"cycle", 2}, 4);
    work.model.relaxation_rank = rank;
    const double counted = flops_per_token(work.model, work.sequence);
    EXPECT_DOUBLE_EQ(
        seconds(CostModel(work, counting())
                    .chunk({.halves = {0, 8}, .embeds = true, .ends_with_head = true}, false)),
        tokens * counted);
  }
}

TEST(Cost, RunsForwardTwiceWhereLayersAreRecomputed) {
  Workload work = tiny({"none"}, 4);
  const ChunkCost kept = CostModel(work, counting()).chunk({.halves = {2, 6}}, false);
  work.recompute = true;
  const CostModel model(work, counting());
  const ChunkCost recomputed = model.chunk({.halves = {2, 6}}, false);
  EXPECT_DOUBLE_EQ(recomputed.backward_input_s, kept.backward_input_s + kept.forward_s);
  EXPECT_EQ(recomputed.live_bytes, 2 * model.message_bytes(2)) << "the input of each of two layers";
  EXPECT_EQ(model.chunk({.halves = {3, 5}}, false).live_bytes, 2 * model.message_bytes(2))
      << "of two halves";
  EXPECT_EQ(model.chunk({.halves = {2, 6}}, true).live_bytes, kept.live_bytes)
      << "deferred weight gradients need what was recomputed";
  EXPECT_EQ(model.workspace_bytes(), kept.live_bytes / 2);
}

TEST(Cost, PricesAMessageByTheWidthOfTheStreamAtItsBoundary) {
  Workload work = tiny({"none"}, 4);
  work.model.spec.family = "gpt_neox";  // a parallel residual carries the layer's input inside
  const CostModel model(work, counting());
  EXPECT_EQ(model.message_bytes(3), 2 * model.message_bytes(2));
  const Placement placement = place(2, {0, 3, 8}, {0, 1});
  EXPECT_EQ(model.placement(placement, {placement.pipeline, 1}, false).step.messages[1].bytes,
            model.message_bytes(3));
}

TEST(Cost, KeepsWhatBackwardNeeds) {
  const CostModel model(tiny({"none"}, 4), counting());
  EXPECT_EQ(model.message_bytes(2), 3 * 10 * 8 * 4);
  EXPECT_EQ(model.chunk({.halves = {2, 3}}, false).live_bytes, 3 * 10 * 4 * (2 * 8 + 3 * (8 + 4)));
  EXPECT_EQ(model.chunk({.halves = {3, 4}}, false).live_bytes, 3 * 10 * 4 * (2 * 8 + 3 * 16));
}

TEST(Cost, CountsWhatTheMembersOfAGroupSendByHand) {
  Workload work = tiny({"universal"}, 4);
  const Placement placement = make_placement({2, "contiguous"}, work.model);
  // The block is on both ranks of both replicas; embedding, final norm and head on one rank each.
  const int64_t block = 192 + 384 + 32 + 32;  // attention, feed-forward, two norms
  const int64_t embedding = 832;              // 800, in 2 parts of whole 32
  const int64_t ends = 832;                   // final norm, at 32 the head: 832 = 2 · 13 · 32
  const PlacementCosts plain =
      CostModel(work, counting()).placement(placement, {placement.pipeline, 2}, false);
  ASSERT_EQ(plain.groups.size(), 3u);
  EXPECT_EQ(plain.groups[1].components.size(), 4u);
  // Twice around: all but the own part.
  EXPECT_EQ(plain.group_bytes,
            (std::vector<GroupBytes>{
                {2 * 1 * embedding * 4, 0}, {2 * 3 * block * 4, 0}, {2 * 1 * ends * 4, 0}}));
  EXPECT_EQ(plain.step.reduces[1].sent_bytes, 2 * 3 * block * 4 / 4);

  work.zero = 1;
  work.compute_bytes = 2;  // float32 gradients are scattered, bfloat16 weights gathered
  const PlacementCosts sharded =
      CostModel(work, counting()).placement(placement, {placement.pipeline, 2}, false);
  EXPECT_EQ(sharded.group_bytes, (std::vector<GroupBytes>{{embedding * 4, embedding * 2},
                                                          {3 * block * 4, 3 * block * 2},
                                                          {ends * 4, ends * 2}}));
}

TEST(Cost, SendsNothingForAComponentWithOneHolder) {
  const Workload work = tiny({"cycle", 2}, 4);
  const Placement placement = make_placement({2, "loop", 2}, work.model);
  const PlacementCosts costs =
      CostModel(work, counting()).placement(placement, {placement.pipeline, 1}, false);
  for (size_t g = 0; g < costs.groups.size(); ++g) {
    EXPECT_FALSE(costs.groups[g].summed(placement));
    EXPECT_EQ(costs.group_bytes[g], GroupBytes{});
  }
  EXPECT_EQ(costs.step.rank_ready_s, (std::vector<double>{0.0, 0.0}));
}

TEST(Cost, HoldsWeightsGradientsAndOptimizerState) {
  Workload work = tiny({"universal"}, 4);
  const Placement placement = make_placement({1, "contiguous"}, work.model);
  const auto state = [&](int replicas) {
    return CostModel(work, counting())
        .placement(placement, {placement.pipeline, replicas}, false)
        .state_bytes[0];
  };
  const int64_t all = 800 + 192 + 384 + 3 * 32 + 800;
  EXPECT_EQ(state(1), all * 16) << "weights, gradients, two moments";
  work.compute_bytes = 2;
  EXPECT_EQ(state(1), all * (2 + 4 + 12)) << "and masters";
  work.zero = 1;
  const int64_t padded = (all + 63) / 64 * 64;
  EXPECT_EQ(state(2), padded * (2 + 4) + padded / 2 * 12) << "of which the optimizer's are sharded";
}

TEST(Cost, TakesTheSlowLinkWhereARingLeavesTheNode) {
  Machine machine = counting();
  machine.intra = {1.0, 100.0};
  machine.inter = {2.0, 10.0};
  machine.ranks_per_node = 2;
  const Workload work = tiny({"universal"}, 4);
  const Placement placement = make_placement({2, "contiguous"}, work.model);
  const auto block_s = [&](int replicas) {
    return CostModel(work, machine)
        .placement(placement, {placement.pipeline, replicas}, false)
        .step.reduces[1]
        .seconds;
  };
  const double bytes = (192 + 384 + 32 + 32) * 4;
  EXPECT_DOUBLE_EQ(block_s(1), 2 * 1.0 + 2 * bytes / 2 / 100.0);
  machine.ranks_per_node = 1;
  EXPECT_DOUBLE_EQ(block_s(1), 2 * 2.0 + 2 * bytes / 2 / 10.0);
  const PlacementCosts far =
      CostModel(work, machine).placement(placement, {placement.pipeline, 1}, false);
  EXPECT_EQ(far.step.links[1].latency_s, 2.0);
}

TEST(Cost, DividesTheLinkOfANodeAmongItsRanksThatSendAtOnce) {
  Machine machine = counting();
  machine.inter = {0.0, 10.0};
  machine.ranks_per_node = 2;
  const Workload work = tiny({"none"}, 4);
  const Placement placement = make_placement({2, "contiguous"}, work.model);
  const auto costs = [&](Neighbours neighbours, double node_bytes_per_s) {
    machine.node_bytes_per_s = node_bytes_per_s;
    return CostModel(work, machine).placement(placement, {2, 2, neighbours}, false);
  };
  const auto sum_s = [&](double node_bytes_per_s) {
    return costs(Neighbours::stages, node_bytes_per_s).step.reduces.front().seconds;
  };
  const auto message_rate = [&](double node_bytes_per_s) {
    return costs(Neighbours::replicas, node_bytes_per_s).step.links[1].bytes_per_s;
  };
  EXPECT_DOUBLE_EQ(sum_s(10.0), 2 * sum_s(0.0)) << "both stages of a node sum with the other's";
  EXPECT_DOUBLE_EQ(sum_s(16.0), sum_s(0.0) * 10 / 8);
  EXPECT_DOUBLE_EQ(sum_s(20.0), sum_s(0.0)) << "a rank has no more than its own rate";
  EXPECT_EQ(message_rate(10.0), 5.0) << "both replicas of a node send to the next stage";
  EXPECT_EQ(message_rate(30.0), 10.0);
  EXPECT_EQ(costs(Neighbours::replicas, 10.0).step.reduces.front().seconds, 0.0)
      << "a sum within a node";
}

}  // namespace
}  // namespace rondo
