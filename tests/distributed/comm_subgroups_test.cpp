// Groups cut from the world and from each other.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "distributed/comm/mpi_communicator.h"

namespace rondo {
namespace {

constexpr double deadline_s = 60;

/// Every non-empty set of the world's ranks, the largest overlap that there is.
std::vector<Group> all_subsets(int size) {
  std::vector<Group> groups;
  for (unsigned members = 1; members < 1u << size; ++members) {
    Group group{"subset " + std::to_string(members), {}};
    for (int rank = 0; rank < size; ++rank) {
      if (members >> rank & 1u) group.ranks.push_back(rank);
    }
    groups.push_back(group);
  }
  return groups;
}

/// The sum over the group of 10^(world rank), which tells who took part.
int64_t sum_of_decimal_marks(Communicator& group, int world_rank) {
  int64_t mark = 1;
  for (int i = 0; i < world_rank; ++i) mark *= 10;
  group.all_reduce_sum({&mark, 1, ElementType::int64});
  return mark;
}

int64_t marks_of(const std::vector<int>& ranks) {
  int64_t marks = 0;
  for (const int rank : ranks) {
    int64_t mark = 1;
    for (int i = 0; i < rank; ++i) mark *= 10;
    marks += mark;
  }
  return marks;
}

void expect_sums_over_exactly_the_members(Communicator& world, const std::vector<Group>& groups) {
  const auto made = world.subgroups(groups);
  ASSERT_EQ(made.size(), groups.size());
  for (size_t i = 0; i < groups.size(); ++i) {
    const auto& ranks = groups[i].ranks;
    const auto self = std::find(ranks.begin(), ranks.end(), world.rank());
    EXPECT_EQ(made[i] != nullptr, self != ranks.end()) << groups[i].name;
    if (!made[i]) continue;
    EXPECT_EQ(made[i]->name(), groups[i].name);
    EXPECT_EQ(made[i]->size(), static_cast<int>(ranks.size()));
    EXPECT_EQ(made[i]->rank(), self - ranks.begin());
    EXPECT_EQ(sum_of_decimal_marks(*made[i], world.rank()), marks_of(ranks)) << groups[i].name;
  }
}

TEST(Subgroups, OfEverySubsetSumOverExactlyTheirMembers) {
  const auto world = make_mpi_world(deadline_s);
  expect_sums_over_exactly_the_members(*world, all_subsets(world->size()));
}

TEST(Subgroups, MayBeListedInAnyOrderThatAllRanksShare) {
  const auto world = make_mpi_world(deadline_s);
  auto groups = all_subsets(world->size());
  std::reverse(groups.begin(), groups.end());
  expect_sums_over_exactly_the_members(*world, groups);
}

TEST(Subgroups, MayShareTheirMembers) {
  const auto world = make_mpi_world(deadline_s);
  std::vector<Group> groups = all_subsets(world->size());
  const auto again = groups;
  groups.insert(groups.end(), again.begin(), again.end());
  expect_sums_over_exactly_the_members(*world, groups);
}

// Neighbours in a circle: each group waits for a member of the next one.
TEST(Subgroups, CloseACircleWithoutAHang) {
  const auto world = make_mpi_world(deadline_s);
  std::vector<Group> groups;
  for (int rank = 0; rank < world->size(); ++rank) {
    const int next = (rank + 1) % world->size();
    Group pair{"pair " + std::to_string(rank), {std::min(rank, next)}};
    if (next != rank) pair.ranks.push_back(std::max(rank, next));
    groups.push_back(pair);
  }
  for (int repetition = 0; repetition < 10; ++repetition) {
    expect_sums_over_exactly_the_members(*world, groups);
  }
}

TEST(Subgroups, OfASubgroupAreCutInItsOwnRanks) {
  const auto world = make_mpi_world(deadline_s);
  if (world->size() < 3) return;  // needs a group whose ranks are not those of the world
  Group tail{"tail", {}};
  for (int rank = 1; rank < world->size(); ++rank) tail.ranks.push_back(rank);
  const auto outer = world->subgroups({tail});
  if (!outer[0]) return;
  const auto inner = outer[0]->subgroups({{"first two", {0, 1}}});
  EXPECT_EQ(inner[0] != nullptr, world->rank() == 1 || world->rank() == 2);
  if (!inner[0]) return;
  EXPECT_EQ(sum_of_decimal_marks(*inner[0], world->rank()), 110);
}

TEST(Subgroups, OfOneRankLeaveTheBufferAndSendNothing) {
  const auto world = make_mpi_world(deadline_s);
  std::vector<Group> groups;
  for (int rank = 0; rank < world->size(); ++rank) groups.push_back({"alone", {rank}});
  const auto alone = world->subgroups(groups);
  std::vector<float> values{1, 2, 3};
  const Buffer buffer{values.data(), 3, ElementType::float32};
  auto& self = *alone[world->rank()];
  self.all_reduce_sum(buffer);
  self.reduce_scatter_sum(buffer);
  self.all_gather(buffer);
  self.broadcast(buffer, 0);
  self.barrier();
  EXPECT_EQ(values, (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(self.traffic().reduce + self.traffic().gather, 0);
}

TEST(Subgroups, RefuseRanksThatAreNotThereOrNotAscending) {
  const auto world = make_mpi_world(deadline_s);
  const std::vector<std::vector<int>> wrong{{}, {-1}, {world->size()}, {0, 0}, {1, 0}};
  for (const auto& ranks : wrong) {
    EXPECT_THROW(world->subgroups({{"wrong", ranks}}), std::invalid_argument);
  }
}

}  // namespace
}  // namespace rondo
