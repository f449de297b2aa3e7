#include "model/parameter_list.h"

#include <gtest/gtest.h>

#include <set>

namespace rondo {
namespace {

const ModelSpec tiny = {.hidden = 8,
                        .depth = 4,
                        .heads = 2,
                        .kv_heads = 1,
                        .head_dim = 4,
                        .ffn = 16,
                        .vocab = 10,
                        .tie_embeddings = true};
constexpr int64_t attention = 8 * 8 + 2 * 4 * 8 + 8 * 8;
constexpr int64_t feed_forward = 3 * 8 * 16;
constexpr int64_t norms = 2 * 8;

SharingMap cycle_of_two() { return make_sharing_map({.strategy = "cycle", .unique = 2}, 4); }

TEST(ParameterList, HoldsEveryComponentOnce) {
  std::set<std::string> paths;
  for (const ParameterSpec& p : parameter_list(tiny, cycle_of_two(), 0)) {
    EXPECT_TRUE(paths.insert(p.path()).second) << p.path();
  }
  EXPECT_TRUE(paths.contains("attention/1/q_proj/weight"));
  EXPECT_TRUE(paths.contains("feed_forward_norm/0/weight"));
  EXPECT_FALSE(paths.contains("attention/2/q_proj/weight"));
  EXPECT_FALSE(paths.contains("head/weight")) << "a tied head is the embedding";
}

TEST(ParameterList, CountsUniqueAndExecutedParametersApart) {
  const ParameterCounts counts = count_parameters(tiny, cycle_of_two(), 0);
  EXPECT_EQ(counts.unique, 80 + 8 + 2 * (attention + feed_forward + norms));
  EXPECT_EQ(counts.executed, 80 + 8 + 4 * (attention + feed_forward + norms));
  EXPECT_EQ(counts.unique_non_embedding, counts.unique - 80);
}

TEST(ParameterList, AnUntiedHeadIsAComponentOfItsOwn) {
  ModelSpec untied = tiny;
  untied.tie_embeddings = false;
  EXPECT_EQ(count_parameters(untied, cycle_of_two(), 0).unique,
            count_parameters(tiny, cycle_of_two(), 0).unique + 80);
}

TEST(ParameterList, CapsAdaptersAtTheSmallerSideOfTheMatrix) {
  const int64_t rank = 6;  // k_proj and v_proj have 4 rows
  const int64_t in_attention = 2 * 6 * (8 + 8) + 2 * 4 * (4 + 8);
  const int64_t in_feed_forward = 3 * 6 * (8 + 16);
  EXPECT_EQ(
      count_parameters(tiny, cycle_of_two(), rank).unique,
      count_parameters(tiny, cycle_of_two(), 0).unique + 4 * (in_attention + in_feed_forward));
}

// Relaxed Recursive Transformers, tables 1 and G.1: Gemma 2B, 18 layers as 9 blocks, linears only.
TEST(ParameterList, ReproducesThePublishedSizesOfRelaxedGemma) {
  const ModelSpec gemma = {.hidden = 2048,
                           .depth = 18,
                           .heads = 8,
                           .kv_heads = 1,
                           .head_dim = 256,
                           .ffn = 16384,
                           .vocab = 256000,
                           .tie_embeddings = true};
  const SharingMap full = make_sharing_map({.strategy = "none"}, 18);
  const SharingMap half = make_sharing_map({.strategy = "cycle", .unique = 9}, 18);
  const auto billions = [&](const SharingMap& map, int64_t rank) {
    return static_cast<double>(count_parameters(gemma, map, rank).unique_non_embedding) / 1e9;
  };
  EXPECT_NEAR(billions(full, 0), 1.99, 0.01);
  EXPECT_NEAR(billions(half, 0), 0.99, 0.01);
  EXPECT_NEAR(billions(half, 64), 1.07, 0.01);
  EXPECT_NEAR(billions(half, 512), 1.60, 0.01);
}

TEST(ParameterList, CountsFlopsByExecutedLayers) {
  const double shared = flops_per_token(tiny, cycle_of_two(), 0, 32);
  const double untied = flops_per_token(tiny, make_sharing_map({.strategy = "none"}, 4), 0, 32);
  EXPECT_EQ(shared, untied) << "sharing saves parameters, not arithmetic";
  EXPECT_EQ(shared, 6.0 * (80 + 4 * (attention + feed_forward) + 4 * 32 * 8));
}

}  // namespace
}  // namespace rondo
