#include <gtest/gtest.h>

#include "distributed/plan/group.h"
#include "tests/distributed/plan/small_model.h"

namespace rondo {
namespace {

TEST(Holders, AreAllReplicasOfEveryRankThatUsesAComponent) {
  const ModelDefinition model = small_model(make_sharing_map({"cycle", 2}, 4), /*tied=*/true);
  const Placement placement = make_placement({2, "loop", 2}, model);
  using Held = std::pair<std::vector<int>, std::vector<std::string>>;
  std::vector<Held> groups;
  for (const ComponentGroup& group : groups_of(model, placement, 2)) {
    groups.push_back({group.world_ranks(), {}});
    for (const Component& component : group.components) {
      groups.back().second.push_back(to_string(component));
    }
    EXPECT_EQ(group.members(), static_cast<int64_t>(group.world_ranks().size()));
  }
  const std::vector<std::string> first = {"attention/0", "feed_forward/0", "attention_norm/0",
                                          "feed_forward_norm/0"};
  const std::vector<std::string> second = {"attention/1", "feed_forward/1", "attention_norm/1",
                                           "feed_forward_norm/1"};
  // The final norm is used by the last chunk only, and final before block 1 is.
  EXPECT_EQ(groups, (std::vector<Held>{{{0, 1, 2, 3}, {"embedding"}},
                                       {{0, 2}, first},
                                       {{1, 3}, second},
                                       {{1, 3}, {"final_norm"}}}));
}

TEST(Holders, HaveOneGroupPerRankWithoutReplicasAndCopies) {
  const ModelDefinition model = small_model(make_sharing_map({"zigzag", 4}, 8), /*tied=*/true);
  const Placement placement = make_placement({4, "vee", 2}, model);
  const std::vector<ComponentGroup> groups = groups_of(model, placement, 1);
  EXPECT_EQ(groups.size(), 4u);
  for (const ComponentGroup& group : groups) EXPECT_EQ(group.world_ranks().size(), 1u);
  EXPECT_TRUE(summed_groups(model, placement, 1).empty());
}

TEST(Holders, PadBuffersAsTheStoreDoes) {
  // A norm has 4 elements, the next component begins at 32; attention has 4·16, feed-forward 3·16.
  const ModelDefinition model = small_model(make_sharing_map({"none"}, 1));
  const Placement placement = make_placement({1, "contiguous"}, model);
  const auto elements = [&](int replicas) {
    return groups_of(model, placement, replicas).front().buffer_elements();
  };
  const int64_t all = 32 + 64 + 64 + 4 * 32;  // embedding, attention, feed-forward, norms, head
  EXPECT_EQ(elements(1), all);
  EXPECT_EQ(elements(2), (all + 63) / 64 * 64);
  EXPECT_EQ(elements(3), (all + 95) / 96 * 96);
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
  EXPECT_EQ(layout.replicas_on_node(8), 2);
  EXPECT_EQ(layout.replicas_on_node(2), 1) << "not even a whole pipeline";
  const WorldLayout rows{4, 8, Neighbours::replicas};
  for (int world = 0; world < 32; ++world) {
    EXPECT_EQ(rows.world_rank(rows.replica(world), rows.pipeline_rank(world)), world);
  }
  EXPECT_EQ(rows.world_rank(3, 1), 11) << "the replicas of a stage come in a row";
  EXPECT_FALSE(rows.share_node(0, 1, 8));
  EXPECT_TRUE(rows.share_node(0, 1, 16));
  EXPECT_EQ(rows.replicas_on_node(4), 4);
  EXPECT_EQ(rows.replicas_on_node(16), rows.replicas);
  EXPECT_FALSE(rows.share_node(1, 2, 16));
}

}  // namespace
}  // namespace rondo
