// Every collective against closed forms, on as many ranks as mpirun gives.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "distributed/comm/agree.h"
#include "distributed/comm/mpi_communicator.h"

namespace rondo {
namespace {

constexpr double deadline_s = 60;

// From nothing over one element, fewer elements than ranks and odd sizes to what needs a ring and
// several segments of it.
const std::vector<int64_t> sizes{0, 1, 2, 3, 7, 1000, 8191, 8193, 70001, 1 << 20, 2500003};

template <class T>
constexpr ElementType type_of = ElementType::int64;
template <>
constexpr ElementType type_of<float> = ElementType::float32;
template <>
constexpr ElementType type_of<double> = ElementType::float64;

template <class T>
Buffer buffer_of(std::vector<T>& values) {
  return {values.data(), static_cast<int64_t>(values.size()), type_of<T>};
}

/// What rank `rank` adds at `index`: whole numbers, so that sums are exact in every type.
int64_t term(int rank, int64_t index) { return (rank + 1) * (index % 1000 - 499); }

template <class T>
std::vector<T> terms(int rank, int64_t count) {
  std::vector<T> values(count);
  for (int64_t i = 0; i < count; ++i) values[i] = static_cast<T>(term(rank, i));
  return values;
}

/// 1 + 2 + … + size times the index' part.
template <class T>
T sum_at(int64_t index, int64_t size) {
  return static_cast<T>(size * (size + 1) / 2 * (index % 1000 - 499));
}

constexpr int64_t none = -1;

/// The first index from `begin` on at which `values` is not `wanted(index)`, before `end`. Failures
/// must not keep a rank from the next collective, so that nothing here asserts.
template <class T, class Wanted>
int64_t first_wrong(const std::vector<T>& values, int64_t begin, int64_t end, Wanted wanted) {
  for (int64_t i = begin; i < end; ++i) {
    if (values[i] != wanted(i)) return i;
  }
  return none;
}

template <class T>
class Sums : public testing::Test {};
using SummableTypes = testing::Types<float, double, int64_t>;
TYPED_TEST_SUITE(Sums, SummableTypes);

TYPED_TEST(Sums, AllReduceGivesEveryMemberTheSum) {
  const auto world = make_mpi_world(deadline_s);
  for (const int64_t count : sizes) {
    auto values = terms<TypeParam>(world->rank(), count);
    world->all_reduce_sum(buffer_of(values));
    const auto wanted = [&](int64_t i) { return sum_at<TypeParam>(i, world->size()); };
    EXPECT_EQ(first_wrong(values, 0, count, wanted), none) << "of " << count;
  }
}

TYPED_TEST(Sums, ReduceScatterGivesEveryMemberItsPartOfTheSum) {
  const auto world = make_mpi_world(deadline_s);
  for (const int64_t part : sizes) {
    auto values = terms<TypeParam>(world->rank(), part * world->size());
    world->reduce_scatter_sum(buffer_of(values));
    const auto wanted = [&](int64_t i) { return sum_at<TypeParam>(i, world->size()); };
    const int64_t own = part * world->rank();
    EXPECT_EQ(first_wrong(values, own, own + part, wanted), none) << "of parts of " << part;
  }
}

TYPED_TEST(Sums, AllGatherAfterReduceScatterEqualsAllReduce) {
  const auto world = make_mpi_world(deadline_s);
  auto in_two_halves = terms<TypeParam>(world->rank(), 300007 * world->size());
  auto at_once = in_two_halves;
  world->reduce_scatter_sum(buffer_of(in_two_halves));
  world->all_gather(buffer_of(in_two_halves));
  world->all_reduce_sum(buffer_of(at_once));
  EXPECT_TRUE(in_two_halves == at_once);
}

TEST(MpiCommunicator, GathersBfloat16AsBytes) {
  const auto world = make_mpi_world(deadline_s);
  for (const int64_t part : sizes) {
    const auto value = [&](int64_t i) { return static_cast<uint16_t>(i % 65521); };
    std::vector<uint16_t> values(part * world->size(), 0xffff);
    for (int64_t i = part * world->rank(); i < part * (world->rank() + 1); ++i)
      values[i] = value(i);
    world->all_gather({values.data(), static_cast<int64_t>(values.size()), ElementType::bfloat16});
    EXPECT_EQ(first_wrong(values, 0, part * world->size(), value), none) << "of parts of " << part;
  }
}

TEST(MpiCommunicator, BroadcastsFromEveryRoot) {
  const auto world = make_mpi_world(deadline_s);
  for (int root = 0; root < world->size(); ++root) {
    std::vector<uint16_t> values(70001, static_cast<uint16_t>(world->rank()));
    world->broadcast({values.data(), 70001, ElementType::bfloat16}, root);
    const auto wanted = [&](int64_t) { return root; };
    EXPECT_EQ(first_wrong(values, 0, 70001, wanted), none) << "from root " << root;
  }
}

TEST(MpiCommunicator, TellsAllMembersTheFirstComplaint) {
  const auto world = make_mpi_world(deadline_s);
  EXPECT_EQ(first_complaint(*world, ""), "");
  for (int first = 0; first < world->size(); ++first) {
    const bool complains = world->rank() >= first;
    EXPECT_EQ(first_complaint(*world, complains ? fmt::format("of rank {}", world->rank()) : ""),
              fmt::format("of rank {}", first));
  }
}

// Sums of random numbers depend on the order of addition, so that only one order for all passes.
TEST(MpiCommunicator, GivesAllMembersTheSameBits) {
  const auto world = make_mpi_world(deadline_s);
  for (const int64_t count : {5, 999, 8193, 700001}) {
    std::mt19937 generator(world->rank());
    std::normal_distribution<float> draw;
    std::vector<float> values(count);
    for (float& value : values) value = draw(generator);
    world->all_reduce_sum(buffer_of(values));

    std::vector<float> of_first = values;
    world->broadcast(buffer_of(of_first), 0);
    EXPECT_EQ(std::memcmp(values.data(), of_first.data(), count * sizeof(float)), 0) << count;
  }
}

TEST(MpiCommunicator, RefusesToSumBfloat16) {
  const auto world = make_mpi_world(deadline_s);
  uint16_t value = 0;
  EXPECT_THROW(world->all_reduce_sum({&value, 1, ElementType::bfloat16}), std::invalid_argument);
  EXPECT_THROW(world->reduce_scatter_sum({&value, 0, ElementType::bfloat16}),
               std::invalid_argument);
}

TEST(MpiCommunicator, RefusesPartsThatAreNotEqual) {
  const auto world = make_mpi_world(deadline_s);
  if (world->size() == 1) return;  // one part is always equal
  std::vector<float> values(world->size() + 1);
  EXPECT_THROW(world->reduce_scatter_sum(buffer_of(values)), std::invalid_argument);
  EXPECT_THROW(world->all_gather(buffer_of(values)), std::invalid_argument);
}

TEST(MpiCommunicator, RefusesARootThatItDoesNotHave) {
  const auto world = make_mpi_world(deadline_s);
  float value = 0;
  EXPECT_THROW(world->broadcast({&value, 1, ElementType::float32}, world->size()),
               std::invalid_argument);
}

TEST(MpiCommunicator, CountsTheBytesThatARingSends) {
  const auto world = make_mpi_world(deadline_s);
  const int64_t others = world->size() - 1;
  std::vector<double> values(12 * 1000);  // equal parts on 1, 2, 3 and 4 ranks
  const int64_t part_bytes = 12 * 1000 * 8 / world->size();

  world->broadcast(buffer_of(values), 0);
  world->barrier();
  EXPECT_EQ(world->traffic().reduce, 0);
  world->all_reduce_sum(buffer_of(values));
  EXPECT_EQ(world->traffic().reduce, 2 * others * part_bytes);
  world->reduce_scatter_sum(buffer_of(values));
  EXPECT_EQ(world->traffic().reduce, 3 * others * part_bytes);
  EXPECT_EQ(world->traffic().gather, 0);
  world->all_gather(buffer_of(values));
  world->all_gather({values.data(), 12 * 1000, ElementType::bfloat16});
  EXPECT_EQ(world->traffic().gather, others * (part_bytes + part_bytes / 4));
  EXPECT_EQ(world->traffic().reduce, 3 * others * part_bytes);
}

TEST(MpiCommunicator, CountsTheTrafficOfASubgroupThereAlone) {
  const auto world = make_mpi_world(deadline_s);
  std::vector<int> everyone;
  for (int rank = 0; rank < world->size(); ++rank) everyone.push_back(rank);
  const auto groups = world->subgroups({{"all", everyone}});
  std::vector<float> values(1200);
  groups[0]->all_reduce_sum(buffer_of(values));
  EXPECT_EQ(groups[0]->traffic().reduce, 2 * 4 * 1200 / world->size() * (world->size() - 1));
  EXPECT_EQ(world->traffic().reduce, 0);
}

}  // namespace
}  // namespace rondo
