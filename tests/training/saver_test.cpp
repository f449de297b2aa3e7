// When a run saves, what it keeps, and what it refuses to write.
#include "training/saver.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <limits>

#include "base/run_error.h"
#include "base/user_error.h"
#include "checkpoint/format/checkpoint_writer.h"
#include "distributed/comm/mpi_communicator.h"
#include "tests/checkpoint/example_checkpoint.h"
#include "tests/checkpoint/temporary_folder.h"

namespace rondo {
namespace {

class SaverTest : public testing::Test {
 protected:
  Saver saver(const CheckpointConfig& config, int64_t last_step = 100) {
    return {config, folder_.path(), last_step, {*world_, *world_}, [this](const std::string& line) {
              told_.push_back(line);
            }};
  }

  Save save_of(int64_t step) const {
    CheckpointHeader header = example_header();
    header.step = step;
    return {checkpoint_file(folder_.path(), step), header, example_datasets(),
            example_slices(0, 1)};
  }

  std::string file(int64_t step) const { return checkpoint_file(folder_.path(), step); }

  std::vector<int64_t> steps() const {
    std::vector<int64_t> found;
    for (int64_t step = 1; step <= 20; ++step) {
      if (std::filesystem::is_regular_file(file(step))) found.push_back(step);
    }
    return found;
  }

  std::unique_ptr<Communicator> world_ = make_mpi_world(60);
  TemporaryFolder folder_;
  std::vector<std::string> told_;
};

TEST_F(SaverTest, IsDueAfterEveryNthStepTheLastAndARequestToStop) {
  const Saver often = saver({.dir = "", .every = 3}, 10);
  std::vector<int64_t> due;
  for (int64_t step = 1; step <= 10; ++step) {
    if (often.due(step, /*stopping=*/false)) due.push_back(step);
  }
  EXPECT_EQ(due, std::vector<int64_t>({3, 6, 9, 10}));
  EXPECT_TRUE(often.due(4, /*stopping=*/true));
  EXPECT_FALSE(saver({.dir = "", .every = 0}, 10).due(9, false));
}

TEST_F(SaverTest, KeepsTheNewestFilesInTheBackgroundAndAtTheEnd) {
  Saver saves = saver({.dir = "", .every = 1, .keep = 2, .keep_every = 4}, 7);
  for (int64_t step = 1; step <= 7; ++step) saves.save(save_of(step), /*stopping=*/false);
  EXPECT_EQ(steps(), std::vector<int64_t>({4, 6, 7}));
  ASSERT_EQ(told_.size(), 7U);
  EXPECT_EQ(told_.back().find("saved " + file(7) + " in "), 0U) << told_.back();
}

TEST_F(SaverTest, WritesNoModelThatIsNotFiniteAndNamesTheOneThatIs) {
  for (const double wrong :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    for (const size_t slice : {size_t{0}, size_t{1}, size_t{5}}) {
      Saver saves = saver({.dir = "", .every = 1, .keep = 1});
      saves.save(save_of(1), false);
      Save wrecked = save_of(2);
      wrecked.mine[slice].values[1] = wrong;
      const std::string error =
          error_of<RunError>([&] { saves.save(wrecked, /*stopping=*/false); });
      EXPECT_NE(error.find("after step 2 the model is not finite and is not saved (" +
                           wrecked.mine[slice].path + ")"),
                std::string::npos)
          << error;
      EXPECT_NE(error.find(file(1) + " is the newest checkpoint with finite weights: the same"),
                std::string::npos)
          << error;
      EXPECT_EQ(steps(), std::vector<int64_t>({1}));
    }
  }
}

TEST_F(SaverTest, NamesAnEarlierFileWhereTheNewestIsWrecked) {
  Saver saves = saver({.dir = "", .every = 1, .keep = 3});
  saves.save(save_of(1), false);
  saves.finish();
  Save wrecked = save_of(2);  // as a program wrote it that did not look
  wrecked.mine[0].values[0] = std::numeric_limits<float>::quiet_NaN();
  save_checkpoint(wrecked.file, wrecked.header, wrecked.all, wrecked.mine, Writers::alone());
  const std::string error = error_of<RunError>([&] { saves.give_up("the gradient is lost"); });
  EXPECT_EQ(error.find("the gradient is lost: lower optimizer.lr or optimizer.clip; " + file(1)),
            0U)
      << error;
  EXPECT_NE(error.find("move the later ones away"), std::string::npos) << error;
}

TEST_F(SaverTest, GoesOnWithoutAFileWhereItMayAndNeverWithoutTheLast) {
  const auto block = [&](int64_t step) { std::filesystem::create_directories(file(step) + "/x"); };
  block(1);
  block(2);
  Saver going_on = saver({.dir = "", .every = 1, .on_error = "continue"}, 2);
  going_on.save(save_of(1), false);
  going_on.finish();
  ASSERT_EQ(told_.size(), 1U);
  EXPECT_NE(told_[0].find("training goes on without it"), std::string::npos) << told_[0];
  EXPECT_NE(error_of<RunError>([&] {
              going_on.save(save_of(2), false);
            }).find("there is no checkpoint yet"),
            std::string::npos);
  Saver stopping = saver({.dir = "", .every = 1}, 2);
  stopping.save(save_of(1), false);
  EXPECT_NE(error_of<RunError>([&] { stopping.finish(); }), "");
}

}  // namespace
}  // namespace rondo
