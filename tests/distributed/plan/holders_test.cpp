#include "distributed/plan/holders.h"

#include <gtest/gtest.h>

#include "distributed/plan/lower.h"

namespace rondo {
namespace {

TEST(Holders, AreAllReplicasOfEveryRankThatUsesAComponent) {
  const ModelParts model{make_sharing_map({"cycle", 2}, 4), true, false};
  const Placement placement = make_placement({2, "loop", 2}, model);
  const std::vector<ReplicaGroup> groups =
      on_world_ranks(buffer_groups(model, placement, 2), placement, 2);
  const std::vector<std::string> first = {"attention/0", "feed_forward/0", "attention_norm/0",
                                          "feed_forward_norm/0"};
  const std::vector<std::string> second = {"attention/1", "feed_forward/1", "attention_norm/1",
                                           "feed_forward_norm/1"};
  // The final norm is used by the last chunk only, and final before block 1 is.
  EXPECT_EQ(groups, (std::vector<ReplicaGroup>{{{0, 1, 2, 3}, {"embedding"}},
                                               {{0, 2}, first},
                                               {{1, 3}, second},
                                               {{1, 3}, {"final_norm"}}}));
}

TEST(Holders, HaveOneGroupPerRankWithoutReplicasAndCopies) {
  const ModelParts model{make_sharing_map({"zigzag", 4}, 8), true, false};
  const Placement placement = make_placement({4, "vee", 2}, model);
  const std::vector<BufferGroup> groups = buffer_groups(model, placement, 1);
  EXPECT_EQ(groups.size(), 4u);
  for (const ReplicaGroup& group : on_world_ranks(groups, placement, 1)) {
    EXPECT_EQ(group.world_ranks.size(), 1u);
  }
  EXPECT_TRUE(reductions(model, placement, 1).empty());
}

TEST(Holders, NumberTheWorldSoThatNeighboursOfAPipelineShareANode) {
  const WorldLayout layout{4, 8};
  for (int world = 0; world < 32; ++world) {
    EXPECT_EQ(layout.world_rank(layout.replica(world), layout.pipeline_rank(world)), world);
  }
  EXPECT_TRUE(layout.share_node(0, 3, 8));
  EXPECT_TRUE(layout.share_node(0, 1, 2));
  EXPECT_FALSE(layout.share_node(1, 2, 2));
  EXPECT_FALSE((WorldLayout{3, 3}.share_node(0, 2, 8)));
}

}  // namespace
}  // namespace rondo
