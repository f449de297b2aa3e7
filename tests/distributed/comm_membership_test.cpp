// The words and the arithmetic that the backends share.
#include <gtest/gtest.h>

#include <stdexcept>

#include "distributed/comm/membership.h"

namespace rondo {
namespace {

TEST(Membership, SpeaksOfWorldRanksAlsoInASubgroupOfASubgroup) {
  const Membership outer = member_of(world_membership(5, 8), {"outer", {1, 3, 5, 7}});
  EXPECT_EQ(outer.rank, 2);
  const Membership inner = member_of(outer, {"replica group 4", {2, 3}});
  EXPECT_EQ(inner.rank, 0);
  EXPECT_EQ(overdue_line(inner, "all_gather", 600),
            "rank 5 waited 600 s in all_gather on replica group 4 (ranks 5 7); a peer has died or "
            "is out of step");
  EXPECT_EQ(failure_line(inner, "broadcast", "no route to host"),
            "broadcast on replica group 4 failed at rank 5: no route to host");
}

TEST(Membership, NamesTheNodesBetweenWhichALinkMayBeDown) {
  const Membership members = member_of(world_membership(1, 6), {"replica group 0", {1, 3, 5}});
  const std::vector<std::string> nodes = {"a", "a", "b", "b", "c", "c"};
  const std::string line = overdue_line(members, "all_gather", 6, nodes);
  EXPECT_NE(line.find("or a link is down between the nodes a, b, c"), std::string::npos) << line;
  const std::vector<std::string> one(6, "a");
  EXPECT_EQ(overdue_line(members, "all_gather", 6, one).find("link"), std::string::npos);
}

TEST(Membership, ShortensALongListOfRanks) {
  EXPECT_NE(overdue_line(world_membership(0, 1024), "barrier", 1)
                .find("(ranks 0 1 2 3 4 5 6 7 8 9 "
                      "10 11 12 13 14 ... 1023)"),
            std::string::npos);
}

TEST(Membership, IsEmptyWhereThisRankIsNotInTheGroup) {
  EXPECT_FALSE(member_of(world_membership(0, 3), {"others", {1, 2}}).is_member());
}

TEST(Membership, RoundsTheBytesOfARingDown) {
  const Membership members = world_membership(0, 3);
  EXPECT_EQ(ring_bytes(members, {nullptr, 7, ElementType::bfloat16}, 2), 2 * 2 * 7 * 2 / 3);
  EXPECT_EQ(ring_bytes(members, {nullptr, int64_t{1} << 40, ElementType::float64}, 1),
            (int64_t{1} << 44) / 3);
}

TEST(Membership, PartsOnlyWhatPartsEqually) {
  const Membership members = world_membership(0, 3);
  EXPECT_EQ(equal_part(members, {nullptr, 12, ElementType::float32}), 4);
  EXPECT_THROW(equal_part(members, {nullptr, 13, ElementType::float32}), std::invalid_argument);
}

}  // namespace
}  // namespace rondo
