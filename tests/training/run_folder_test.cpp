#include "training/start/run_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <optional>

#include "base/new_folders.h"
#include "base/user_error.h"
#include "checkpoint/format/checkpoint.h"
#include "tests/checkpoint/temporary_folder.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;

class RunFolderTest : public testing::Test {
 protected:
  Config config(const std::string& log, const std::string& checkpoints = "") const {
    Config config;
    config.log.dir = folder_.file(log);
    if (!checkpoints.empty()) config.checkpoint.dir = folder_.file(checkpoints);
    return config;
  }

  std::string refusal(const Config& config) const {
    return error_of<UserError>([&] { RunFolder folder(config, "x = 1\n"); });
  }

  void run(const Config& config, int64_t step) const {
    const RunFolder folder(config, "x = 1\n");
    const std::string dir =
        config.checkpoint.dir.empty() ? config.log.dir + "/checkpoints" : config.checkpoint.dir;
    write_file(checkpoint_file(dir, step), "weights");
  }

  TemporaryFolder folder_;
};

TEST_F(RunFolderTest, KeepsTheConfigAndMayBeUsedAgain) {
  const Config one = config("a");
  run(one, 1);
  EXPECT_EQ(read_file(folder_.file("a/config.toml")), "x = 1\n");
  run(one, 2);
}

TEST_F(RunFolderTest, IsOneRunsAtATimeWhicheverOfItsFoldersAnotherNames) {
  const RunFolder held(config("a", "shared"), "");
  for (const Config& other : {config("a"), config("b", "shared"), config("shared", "c"),
                              config("c", "a"), config("a", "shared")}) {
    EXPECT_NE(refusal(other).find("another run is writing into"), std::string::npos)
        << other.log.dir << " " << other.checkpoint.dir;
    const std::string before = error_of<UserError>([&] { check_free(other); });
    EXPECT_EQ(before, refusal(other)) << "the same line before anything is made";
  }
  EXPECT_NO_THROW(check_free(config("b")));
  EXPECT_FALSE(fs::exists(folder_.file("b"))) << "a refused run leaves nothing";
  EXPECT_FALSE(fs::exists(folder_.file("c")));
  EXPECT_FALSE(fs::exists(folder_.file("a/checkpoints")));
}

TEST_F(RunFolderTest, MayBeTheFolderOfItsCheckpointsToo) {
  run(config("a", "a"), 1);
  run(config("a", "a"), 2);
}

TEST_F(RunFolderTest, RefusesCheckpointsOfAnotherRunAndSaysWhose) {
  run(config("p0", "shared"), 1);
  const std::string line = refusal(config("p1", "shared"));
  EXPECT_NE(line.find("holds the checkpoints of the run in " + folder_.file("p0")),
            std::string::npos)
      << line;
  EXPECT_FALSE(fs::exists(folder_.file("p1")));
  fs::remove(folder_.file("shared/.owner"));
  EXPECT_EQ(refusal(config("p1", "shared")), "");
}

TEST_F(RunFolderTest, TakesAFolderThatHoldsNoCheckpointYet) {
  { const RunFolder first(config("p0", "shared"), ""); }
  EXPECT_EQ(refusal(config("p1", "shared")), "");
}

TEST_F(RunFolderTest, MayBeMovedOrCopiedWithItsCheckpoints) {
  run(config("a"), 1);
  fs::copy(folder_.file("a"), folder_.file("b"), fs::copy_options::recursive);
  run(config("b"), 2);
  run(config("a"), 2);
  fs::rename(folder_.file("b"), folder_.file("c"));
  run(config("c"), 3);
  run(config("d", "apart"), 1);
  fs::rename(folder_.file("d"), folder_.file("e"));
  run(config("e", "apart"), 2);
}

TEST_F(RunFolderTest, LeavesNothingWhereItCannotBeMade) {
  Config failing = config("runs/b");
  failing.checkpoint.dir = "/proc/nope";
  EXPECT_NE(refusal(failing), "");
  EXPECT_FALSE(fs::exists(folder_.file("runs")));
}

TEST_F(RunFolderTest, NewFoldersLeaveAloneWhatIsNotTheirs) {
  fs::create_directories(folder_.file("old"));
  {
    NewFolders made;
    EXPECT_TRUE(made.make(folder_.file("old/runs/b")));
    EXPECT_TRUE(made.make(folder_.file("old/other")));
    fs::create_directories(folder_.file("old/runs/a"));  // another run moves in meanwhile
  }
  EXPECT_TRUE(fs::exists(folder_.file("old/runs/a")));
  EXPECT_FALSE(fs::exists(folder_.file("old/runs/b")));
  EXPECT_FALSE(fs::exists(folder_.file("old/other")));
  { EXPECT_TRUE(NewFolders().make(folder_.file("old"))); }
  EXPECT_TRUE(fs::exists(folder_.file("old"))) << "it was there before";
}

}  // namespace
}  // namespace rondo
