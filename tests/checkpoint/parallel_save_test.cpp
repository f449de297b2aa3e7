// Saving on several ranks: each rank writes its slices of every dataset.
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>
#include <mpi.h>

#include <filesystem>
#include <optional>

#include "base/user_error.h"
#include "checkpoint/format/background_save.h"
#include "checkpoint/format/checkpoint_reader.h"
#include "checkpoint/format/checkpoint_writer.h"
#include "tests/checkpoint/example_checkpoint.h"
#include "tests/checkpoint/full_disk.h"
#include "tests/checkpoint/temporary_folder.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;

int rank() {
  int mine = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &mine);
  return mine;
}

int size() {
  int all = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &all);
  return all;
}

/// One folder for all ranks, made by rank 0, and a barrier before it goes.
class SharedFolder {
 public:
  SharedFolder() {
    char name[512] = {};
    if (rank() == 0) {
      mine_.emplace();
      mine_->path().copy(name, sizeof(name) - 1);
    }
    MPI_Bcast(name, sizeof(name), MPI_CHAR, 0, MPI_COMM_WORLD);
    path_ = name;
  }
  ~SharedFolder() { MPI_Barrier(MPI_COMM_WORLD); }

  std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::optional<TemporaryFolder> mine_;
  fs::path path_;
};

std::string save_error(const std::string& file, const std::vector<DatasetSlice>& mine) {
  std::string error = error_of<UserError>(
      [&] { save_checkpoint(file, example_header(), example_datasets(), mine, Writers::world()); });
  MPI_Barrier(MPI_COMM_WORLD);
  return error;
}

/// The same text on every rank.
void expect_equal_on_all_ranks(const std::string& text) {
  std::string first = text;
  first.resize(1000, ' ');
  MPI_Bcast(first.data(), 1000, MPI_CHAR, 0, MPI_COMM_WORLD);
  std::string mine = text;
  mine.resize(1000, ' ');
  EXPECT_EQ(mine, first);
}

void expect_example(const std::string& file) {
  const CheckpointReader reader(file);
  EXPECT_EQ(reader.header().config, example_header().config);
  EXPECT_EQ(reader.header().model.sharing, example_header().model.sharing);
  const auto datasets = example_datasets();
  ASSERT_EQ(reader.datasets().size(), datasets.size());
  for (size_t k = 0; k < datasets.size(); ++k) {
    const at::Tensor expected = example_values(datasets[k], k).view(datasets[k].shape);
    EXPECT_TRUE(at::equal(reader.read(datasets[k].path), expected)) << datasets[k].path;
  }
}

TEST(ParallelSave, SlicesOfAllRanksMakeTheWholeTensors) {
  const SharedFolder folder;
  const std::string file = folder.file("new/step-00000100.h5");
  EXPECT_EQ(save_error(file, example_slices(rank(), size())), "");
  expect_example(file);
  EXPECT_FALSE(has_partial(fs::path(file).parent_path()));
}

TEST(ParallelSave, ARankMayOwnNothing) {
  const SharedFolder folder;
  const auto all = rank() == size() - 1 ? example_slices(0, 1) : std::vector<DatasetSlice>{};
  EXPECT_EQ(save_error(folder.file("a.h5"), all), "");
  expect_example(folder.file("a.h5"));
}

TEST(ParallelSave, IsTheSameFileAsOneProcessWrites) {
  const SharedFolder folder;
  EXPECT_EQ(save_error(folder.file("a.h5"), example_slices(rank(), size())), "");
  if (rank() > 0) return;
  save_checkpoint(folder.file("b.h5"), example_header(), example_datasets(), example_slices(0, 1),
                  Writers::alone());
  const auto a = Hdf5File::open(folder.file("a.h5"));
  const auto b = Hdf5File::open(folder.file("b.h5"));
  for (const DatasetSpec& spec : example_datasets()) {
    const auto checksum = a.integer_attribute(spec.path, "checksum");
    EXPECT_NE(checksum, std::nullopt);
    EXPECT_EQ(checksum, b.integer_attribute(spec.path, "checksum"));
  }
}

TEST(ParallelSave, OneRanksMistakeFailsAllRanksAndKeepsThePreviousFile) {
  const SharedFolder folder;
  const std::string file = folder.file("a.h5");
  ASSERT_EQ(save_error(file, example_slices(rank(), size())), "");
  auto slices = example_slices(rank(), size());
  const int culprit = size() - 1;
  if (rank() == culprit) slices[2].begin += 1;
  const std::string error = save_error(file, slices);
  EXPECT_NE(error.find("(rank " + std::to_string(culprit) + ")"), std::string::npos) << error;
  EXPECT_NE(error.find(slices[2].path), std::string::npos) << error;
  expect_equal_on_all_ranks(error);
  EXPECT_FALSE(has_partial(fs::path(file).parent_path()));
  expect_example(file);
}

TEST(ParallelSave, OneRanksFullDiskFailsAllRanksAndKeepsThePreviousFile) {
  const SharedFolder folder;
  const std::string file = folder.file("a.h5");
  ASSERT_EQ(save_error(file, example_slices(rank(), size())), "");
  const int culprit = size() - 1;
  CheckpointWriter writer(file, example_header(), example_datasets(), Writers::world());
  {
    std::optional<FullDisk> full;
    if (rank() == culprit) full.emplace();
    for (const DatasetSlice& slice : example_slices(rank(), size())) writer.write(slice);
  }
  const std::string error = error_of<UserError>([&] { writer.commit(); });
  MPI_Barrier(MPI_COMM_WORLD);
  EXPECT_NE(error.find("(rank " + std::to_string(culprit) + ")"), std::string::npos) << error;
  expect_equal_on_all_ranks(error);
  EXPECT_FALSE(has_partial(fs::path(file).parent_path()));
  expect_example(file);
}

TEST(ParallelSave, NamesADatasetThatTheRanksTogetherDidNotWriteWhole) {
  const SharedFolder folder;
  auto slices = example_slices(rank(), size());
  if (rank() == 0) slices.erase(slices.begin() + 1);
  const std::string error = save_error(folder.file("a.h5"), slices);
  EXPECT_NE(error.find(example_datasets()[1].path), std::string::npos) << error;
  EXPECT_NE(error.find("elements were written"), std::string::npos) << error;
}

TEST(ParallelSave, AFolderThatCannotBeMadeFailsAllRanks) {
  const SharedFolder folder;
  if (rank() == 0) write_file(folder.file("taken"), "a file where a folder should be");
  MPI_Barrier(MPI_COMM_WORLD);
  const std::string error = save_error(folder.file("taken/a.h5"), example_slices(rank(), size()));
  EXPECT_NE(error.find("Not a directory"), std::string::npos) << error;
  expect_equal_on_all_ranks(error);
}

Save example_save(const std::string& file) {
  return {file, example_header(), example_datasets(), example_slices(rank(), size())};
}

TEST(BackgroundSave, WritesWhatTheValuesWereWhenItStarted) {
  const SharedFolder folder;
  int finished = 0;
  BackgroundSave saves(Writers::world(), [&](int64_t) { ++finished; });
  for (const char* name : {"a.h5", "b.h5"}) {  // the second into the copies of the first
    Save save = example_save(folder.file(name));
    saves.start(save);
    for (DatasetSlice& slice : save.mine) slice.values.fill_(-1.0);
  }
  const std::optional<Saved> saved = saves.finish();
  ASSERT_TRUE(saved);
  EXPECT_EQ(saved->file, folder.file("b.h5"));
  EXPECT_EQ(saves.finish().has_value(), false);
  EXPECT_EQ(finished, rank() == 0 ? 2 : 0);
  MPI_Barrier(MPI_COMM_WORLD);
  expect_example(folder.file("a.h5"));
  expect_example(folder.file("b.h5"));
}

TEST(BackgroundSave, TellsEveryRankOnceThatOneFailed) {
  const SharedFolder folder;
  BackgroundSave saves(Writers::world(), [](int64_t) { FAIL() << "nothing was saved"; });
  Save save = example_save(folder.file("a.h5"));
  const int culprit = size() - 1;
  if (rank() == culprit) save.mine[2].begin += 1;
  saves.start(save);
  const std::string error = error_of<UserError>([&] { saves.finish(); });
  EXPECT_NE(error.find(example_datasets()[2].path), std::string::npos) << error;
  expect_equal_on_all_ranks(error);
  EXPECT_EQ(saves.finish().has_value(), false);
  MPI_Barrier(MPI_COMM_WORLD);
  EXPECT_FALSE(has_partial(fs::path(folder.file("a.h5")).parent_path()));
}

TEST(BackgroundSave, FailsBeforeTheNextOneStarts) {
  const SharedFolder folder;
  BackgroundSave saves(Writers::world(), [](int64_t) {});
  Save broken = example_save(folder.file("a.h5"));
  broken.mine.clear();
  saves.start(broken);
  const Save good = example_save(folder.file("b.h5"));
  EXPECT_NE(error_of<UserError>([&] { saves.start(good); }), "");
  saves.start_in_place(good);
  EXPECT_EQ(saves.finish()->file, folder.file("b.h5"));
  MPI_Barrier(MPI_COMM_WORLD);
  EXPECT_FALSE(fs::exists(folder.file("a.h5")));
  expect_example(folder.file("b.h5"));
}

}  // namespace
}  // namespace rondo
