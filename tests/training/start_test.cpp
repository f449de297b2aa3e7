// Where a run begins, and what it passes over.
#include "training/start/start.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/user_error.h"
#include "checkpoint/format/checkpoint_writer.h"
#include "distributed/comm/mpi_communicator.h"
#include "tests/checkpoint/example_checkpoint.h"
#include "tests/checkpoint/temporary_folder.h"

namespace rondo {
namespace {

class StartTest : public testing::Test {
 protected:
  StartTest() {
    config_.checkpoint.dir = folder_.path();
    for (const int64_t step : {1, 2, 3}) save(step, step);
  }

  /// A file whose name says `named`.
  void save(int64_t named, int64_t step) const {
    CheckpointHeader header = example_header();
    header.step = step;
    save_checkpoint(file(named), header, example_datasets(), example_slices(0, 1),
                    Writers::alone());
  }

  std::string file(int64_t step) const { return checkpoint_file(folder_.path(), step); }

  std::string opened(std::vector<std::string>& files) {
    return open_first_usable(files, config_, *world_)->file();
  }

  std::unique_ptr<Communicator> world_ = make_mpi_world(60);
  TemporaryFolder folder_;
  Config config_;
};

TEST_F(StartTest, TakesTheNewestFile) {
  std::vector<std::string> files = files_to_resume(config_, *world_);
  EXPECT_EQ(files, std::vector<std::string>({file(3), file(2), file(1)}));
  EXPECT_EQ(opened(files), file(3));
  EXPECT_EQ(files.size(), 3U);
  config_.checkpoint.resume = "never";
  EXPECT_TRUE(files_to_resume(config_, *world_).empty());
}

TEST_F(StartTest, PassesOverWhatIsCutOffOrOfAnotherStep) {
  std::filesystem::resize_file(file(3), 1000);
  save(2, 7);
  std::vector<std::string> files = files_to_resume(config_, *world_);
  EXPECT_EQ(opened(files), file(1));
  EXPECT_EQ(files, std::vector<std::string>({file(1)}));
}

TEST_F(StartTest, GoesOnToTheNextWhereValuesTurnOutToBeDamaged) {
  std::vector<std::string> files = files_to_resume(config_, *world_);
  opened(files);
  files.erase(files.begin());
  EXPECT_EQ(opened(files), file(2));
}

TEST_F(StartTest, RefusesToStartAnewBesideFilesOfWhichNoneCanBeUsed) {
  for (const int64_t step : {1, 2, 3}) std::filesystem::resize_file(file(step), 1000);
  std::vector<std::string> files = files_to_resume(config_, *world_);
  const std::string line = error_of<UserError>([&] { opened(files); });
  EXPECT_NE(line.find("no checkpoint in " + folder_.path() + " can be used"), std::string::npos)
      << line;
}

}  // namespace
}  // namespace rondo
