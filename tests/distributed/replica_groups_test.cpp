#include "distributed/plan/replica_groups.h"

#include <gtest/gtest.h>

namespace rondo {
namespace {

TEST(ReplicaGroups, JoinComponentsThatTheSameRanksHold) {
  const std::vector<ReplicaGroup> groups = replica_groups(
      {{"embedding", {0, 3}}, {"attention/0", {0, 1}}, {"head", {0, 3}}, {"attention/1", {2}}});
  EXPECT_EQ(groups, (std::vector<ReplicaGroup>{{{0, 3}, {"embedding", "head"}},
                                               {{0, 1}, {"attention/0"}},
                                               {{2}, {"attention/1"}}}));
}

}  // namespace
}  // namespace rondo
