// What a pass is worth, against the figures of arXiv 2604.21106, section 3.2.
#include "model/definition/pass_worth.h"

#include <gtest/gtest.h>

namespace rondo {
namespace {

/// In units of d²: a layer has 12, an injection 2; 20 layers run, two before and two after the
/// loop.
LoopSize of_family(int passes) {
  return {.once = 4 * 12.0,
          .recurring = 16.0 / passes * 12.0,
          .beside = passes > 1 ? 2.0 : 0.0,
          .passes = passes};
}

TEST(PassWorth, CountsThePublishedFamilysParameters) {
  EXPECT_EQ(of_family(1).stored(), 240.0);
  EXPECT_EQ(of_family(2).stored(), 146.0);
  EXPECT_EQ(of_family(4).stored(), 98.0);
  EXPECT_EQ(of_family(8).stored(), 74.0);
  for (const int passes : {1, 2, 4, 8}) EXPECT_EQ(of_family(passes).executed(), 240.0);
}

TEST(PassWorth, CountsItsOperationsBesideTheLayers) {
  EXPECT_NEAR(100 * of_family(2).overhead(), 1.67, 0.005);
  EXPECT_NEAR(100 * of_family(4).overhead(), 3.33, 0.005);
  EXPECT_NEAR(100 * of_family(8).overhead(), 6.67, 0.005);
}

TEST(PassWorth, ReproducesItsEquivalentModel) {
  const double d2 = 2048.0 * 2048.0;
  const LoopSize size = of_family(4);
  EXPECT_NEAR(size.stored() * d2 / 1e6, 411.0, 0.05);
  EXPECT_NEAR(size.equivalent(pass_exponent) * d2 / 1e6, 582.3, 0.05);
  EXPECT_NEAR(size.executed() * d2 / 1e6, 1006.6, 0.05);
}

/// The family without injection as rondo defines it: MHA has 4 d², a feed-forward of 4 d two 4 d².
ModelDefinition model_of(int passes) {
  const ModelSpec spec = {.family = "gpt_neox",
                          .hidden = 2048,
                          .depth = 20,
                          .heads = 16,
                          .kv_heads = 16,
                          .head_dim = 128,
                          .ffn = 8192,
                          .vocab = 1000};
  const SharingOptions sharing = {
      .strategy = "cycle", .unique = 16 / passes, .prelude = 2, .coda = 2};
  return {spec, make_sharing_map(sharing, 20)};
}

TEST(PassWorth, ReadsTheLoopFromADefinition) {
  const double d2 = 2048.0 * 2048.0;
  const auto size = loop_size(model_of(4));
  ASSERT_TRUE(size);
  EXPECT_EQ(size->passes, 4);
  EXPECT_NEAR(size->once / d2, 48.0, 0.1) << "and a few vectors";
  EXPECT_NEAR(size->recurring / d2, 48.0, 0.1);
  EXPECT_FALSE(loop_size(unshared(model_of(4), 20)));
  EXPECT_EQ(cached_elements(model_of(4)), 2 * 2048 * 20) << "every executed layer keeps its own";
}

}  // namespace
}  // namespace rondo
