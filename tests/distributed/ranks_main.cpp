// The main of every test program that runs under mpirun: one report, by rank 0, and the failures of
// the other ranks; all ranks fail where one does.
#include <gtest/gtest.h>

#include <cstdint>
#include <iostream>
#include <memory>
#include <string>

#include "distributed/comm/mpi_communicator.h"

namespace {

class FailuresOnly final : public testing::EmptyTestEventListener {
 public:
  explicit FailuresOnly(int rank) : rank_(rank) {}

 private:
  void OnTestStart(const testing::TestInfo& test) override {
    test_ = std::string(test.test_suite_name()) + "." + test.name();
  }
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (!result.failed()) return;
    std::cout << "rank " << rank_ << ": " << test_ << ": " << result.file_name() << ":"
              << result.line_number() << ": " << result.message() << std::endl;
  }

  int rank_;
  std::string test_ = "before the first test";
};

}  // namespace

int main(int argc, char** argv) {
  constexpr double deadline_s = 60;
  const rondo::MpiSession session;
  testing::InitGoogleTest(&argc, argv);
  const auto world = rondo::make_mpi_world(deadline_s);
  if (world->rank() > 0) {
    auto& listeners = testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new FailuresOnly(world->rank()));
  }
  int64_t failed_ranks = RUN_ALL_TESTS() == 0 ? 0 : 1;
  world->all_reduce_sum({&failed_ranks, 1, rondo::ElementType::int64});
  return failed_ranks == 0 ? 0 : 1;
}
