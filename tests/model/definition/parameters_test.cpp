#include "model/definition/parameters.h"

#include <gtest/gtest.h>

#include <set>

#include "model/definition/families.h"

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
  for (const ParameterSpec& p : parameters({tiny, cycle_of_two(), 0})) {
    EXPECT_TRUE(paths.insert(p.path()).second) << p.path();
  }
  EXPECT_TRUE(paths.contains("attention/1/q_proj/weight"));
  EXPECT_TRUE(paths.contains("feed_forward_norm/0/weight"));
  EXPECT_FALSE(paths.contains("attention/2/q_proj/weight"));
  EXPECT_FALSE(paths.contains("head/weight")) << "a tied head is the embedding";
}

TEST(ParameterList, CountsUniqueAndExecutedParametersApart) {
  const ParameterCounts counts = count_parameters({tiny, cycle_of_two(), 0});
  EXPECT_EQ(counts.unique, 80 + 8 + 2 * (attention + feed_forward + norms));
  EXPECT_EQ(counts.executed, 80 + 8 + 4 * (attention + feed_forward + norms));
  EXPECT_EQ(counts.unique_non_embedding, counts.unique - 80);
}

TEST(ParameterList, AnUntiedHeadIsAComponentOfItsOwn) {
  ModelSpec untied = tiny;
  untied.tie_embeddings = false;
  EXPECT_EQ(count_parameters({untied, cycle_of_two(), 0}).unique,
            count_parameters({tiny, cycle_of_two(), 0}).unique + 80);
}

TEST(ParameterList, CapsAdaptersAtTheSmallerSideOfTheMatrix) {
  const int64_t rank = 6;  // k_proj and v_proj have 4 rows
  const int64_t in_attention = 2 * 6 * (8 + 8) + 2 * 4 * (4 + 8);
  const int64_t in_feed_forward = 3 * 6 * (8 + 16);
  EXPECT_EQ(
      count_parameters({tiny, cycle_of_two(), rank}).unique,
      count_parameters({tiny, cycle_of_two(), 0}).unique + 4 * (in_attention + in_feed_forward));
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
    return static_cast<double>(count_parameters({gemma, map, rank}).unique_non_embedding) / 1e9;
  };
  EXPECT_NEAR(billions(full, 0), 1.99, 0.01);
  EXPECT_NEAR(billions(half, 0), 0.99, 0.01);
  EXPECT_NEAR(billions(half, 64), 1.07, 0.01);
  EXPECT_NEAR(billions(half, 512), 1.60, 0.01);
}

// The parameter counts that the models are published with, to the last one.
TEST(ParameterList, ReproducesThePublishedSizesOfOtherFamilies) {
  const auto untied_count = [](const ModelSpec& model) {
    const int depth = static_cast<int>(model.depth);
    return count_parameters({model, make_sharing_map({.strategy = "none"}, depth)});
  };
  const ParameterCounts pythia = untied_count({.family = "gpt_neox",
                                               .hidden = 2048,
                                               .depth = 16,
                                               .heads = 8,
                                               .kv_heads = 8,
                                               .head_dim = 256,
                                               .ffn = 8192,
                                               .vocab = 50304,
                                               .tie_embeddings = false});
  EXPECT_EQ(pythia.unique, 1'011'781'632);  // arXiv 2304.01373, table 1
  EXPECT_EQ(pythia.unique_non_embedding, 805'736'448);
  const ParameterCounts gpt2 = untied_count({.family = "gpt2",
                                             .hidden = 768,
                                             .depth = 12,
                                             .heads = 12,
                                             .kv_heads = 12,
                                             .head_dim = 64,
                                             .ffn = 3072,
                                             .vocab = 50257,
                                             .positions = 1024});
  EXPECT_EQ(gpt2.unique, 124'439'808);
  const ParameterCounts qwen2 = untied_count({.family = "qwen2",
                                              .hidden = 896,
                                              .depth = 24,
                                              .heads = 14,
                                              .kv_heads = 2,
                                              .head_dim = 64,
                                              .ffn = 4864,
                                              .vocab = 151936});
  EXPECT_EQ(qwen2.unique, 494'032'768);  // Qwen2.5-0.5B
  const ParameterCounts qwen3 = untied_count({.family = "qwen3",
                                              .hidden = 1024,
                                              .depth = 28,
                                              .heads = 16,
                                              .kv_heads = 8,
                                              .head_dim = 128,
                                              .ffn = 3072,
                                              .vocab = 151936});
  EXPECT_EQ(qwen3.unique, 596'049'920);  // Qwen3-0.6B
}

TEST(ParameterList, KeepsBiasesBehindTheWeightsSoThatBothCanBeStacked) {
  ModelSpec biased = tiny;
  biased.family = "qwen2";
  std::vector<std::string> names;
  for (const ParameterSpec& p : parameters({biased, cycle_of_two(), 0})) {
    if (p.component == Component{Kind::slot, Slot::attention, 1}) names.push_back(p.name);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"q_proj/weight", "k_proj/weight", "v_proj/weight",
                                             "o_proj/weight", "q_proj/bias", "k_proj/bias",
                                             "v_proj/bias"}));
}

TEST(ParameterList, GivesLayersVectorsOfTheirOwnWhereBlocksHaveSome) {
  const auto own_vectors = [](const std::string& family) {
    ModelSpec model = tiny;
    model.family = family;
    std::vector<std::string> paths;
    for (const ParameterSpec& p : parameters({model, make_sharing_map({}, 4), 1})) {
      const bool own = p.component.kind == Kind::adapter && p.component.id == 3;
      if (own && p.shape.size() == 1) paths.push_back(p.path());
    }
    return paths;
  };
  EXPECT_TRUE(own_vectors("llama").empty());
  EXPECT_EQ(own_vectors("qwen3"), (std::vector<std::string>{"adapters/3/attention/q_norm/weight",
                                                            "adapters/3/attention/k_norm/weight"}));
  EXPECT_EQ(own_vectors("gpt2"),
            (std::vector<std::string>{
                "adapters/3/attention/q_proj/bias", "adapters/3/attention/k_proj/bias",
                "adapters/3/attention/v_proj/bias", "adapters/3/attention/o_proj/bias",
                "adapters/3/feed_forward/up_proj/bias", "adapters/3/feed_forward/down_proj/bias"}));
}

TEST(Families, FoldNormsWhereTheLinearsAfterThemTakeTheirBias) {
  for (const Family& family : families()) EXPECT_TRUE(norms_fold(family.parts)) << family.name;
  const BlockParts stable_lm{.norm = NormKind::layer};  // LayerNorm before linears without biases
  EXPECT_FALSE(norms_fold(stable_lm));
}

TEST(ParameterList, CountsFlopsByExecutedLayers) {
  const double shared = flops_per_token({tiny, cycle_of_two()}, 32);
  const double untied = flops_per_token({tiny, make_sharing_map({.strategy = "none"}, 4)}, 32);
  EXPECT_EQ(shared, untied) << "sharing saves parameters, not arithmetic";
  EXPECT_EQ(shared, 6.0 * (80 + 4 * (attention + feed_forward) + 4 * 32 * 8));
}

}  // namespace
}  // namespace rondo
