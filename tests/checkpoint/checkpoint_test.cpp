#include "checkpoint/format/checkpoint.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/user_error.h"
#include "checkpoint/format/checkpoint_reader.h"
#include "checkpoint/format/checkpoint_writer.h"
#include "checkpoint/format/checksum.h"
#include "checkpoint/format/model_json.h"
#include "tests/checkpoint/example_checkpoint.h"
#include "tests/checkpoint/full_disk.h"
#include "tests/checkpoint/temporary_folder.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;

void save_example(const std::string& file) {
  save_checkpoint(file, example_header(), example_datasets(), example_slices(0, 1),
                  Writers::alone());
}

std::string open_error(const std::string& file) {
  return error_of<UserError>([&] { CheckpointReader reader(file); });
}

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' is not in: " << text;
}

TEST(Checkpoint, ComesBackBitForBit) {
  const TemporaryFolder folder;
  const std::string file = checkpoint_file(folder.file("a/new/folder"), 100);
  save_example(file);
  const CheckpointReader reader(file);
  const CheckpointHeader header = reader.header();
  const CheckpointHeader expected = example_header();
  EXPECT_EQ(header.step, expected.step);
  EXPECT_EQ(header.tokens, expected.tokens);
  EXPECT_EQ(header.config, expected.config);
  EXPECT_EQ(header.model.spec, expected.model.spec);
  EXPECT_EQ(header.model.sharing, expected.model.sharing);
  EXPECT_EQ(header.model.relaxation_rank, expected.model.relaxation_rank);
  EXPECT_EQ(header.tokenizer, expected.tokenizer);
  const auto datasets = example_datasets();
  EXPECT_EQ(reader.datasets().size(), datasets.size());
  for (size_t k = 0; k < datasets.size(); ++k) {
    const at::Tensor values = reader.read(datasets[k].path);
    const at::Tensor expected_values = example_values(datasets[k], k).view(datasets[k].shape);
    EXPECT_EQ(values.scalar_type(), datasets[k].dtype);
    EXPECT_TRUE(at::equal(values, expected_values)) << datasets[k].path;
    const int64_t begin = datasets[k].count() / 3;
    const at::Tensor two = at::empty({2}, at::kDouble);
    const auto read = [&](int64_t from, int64_t to) {  // of the stored type, or another
      return reader.read_range(datasets[k].path, begin, two, from, to);
    };
    EXPECT_EQ(read(0, begin + 1) + read(begin + 1, datasets[k].count()), read(begin, begin + 2));
    EXPECT_EQ(read(0, 0), 0U) << "nothing is counted";
    const at::Tensor expected_two = expected_values.view(-1).slice(0, begin, begin + 2);
    EXPECT_TRUE(at::equal(two, expected_two.to(at::kDouble)));
  }
  EXPECT_NO_THROW(check_parameters(reader, example_parameters()));
  EXPECT_NO_THROW(reader.verify());
  EXPECT_FALSE(has_partial(folder.path()));
}

TEST(Checkpoint, CarriesFilesOfItsTokenizerAndFolder) {
  const TemporaryFolder folder;
  const std::string file = folder.file("a.h5");
  CheckpointHeader header = example_header();
  header.tokenizer = StoredTokenizer{"sentencepiece", std::string("a\0file", 6), {7, 2, 9}};
  header.hf_files = {{"config.json", "{}"}, {"chat_template.jinja", "{{ größer }}"}};
  const at::Tensor values = at::rand({4});
  save_checkpoint(file, header, {{"/parameters/x", {4}, at::kFloat}},
                  {{"/parameters/x", 0, values}}, Writers::alone());
  EXPECT_EQ(CheckpointReader(file).header().tokenizer, header.tokenizer);
  EXPECT_EQ(CheckpointReader(file).header().hf_files, header.hf_files);
  for (const char* path : {"/hugging_face/chat_template.jinja", tokenizer_dataset}) {
    ByteFile::open(file).write(Hdf5File::open(file).offset(path) + 3, "F", 1);
    expect_contains(error_of<UserError>([&] { CheckpointReader reader(file); }), path);
  }
}

TEST(Checkpoint, IsVerifiedInSharesThatLeaveNothingOut) {
  const TemporaryFolder folder;
  const std::string file = folder.file("a.h5");
  save_example(file);
  const CheckpointReader reader(file);
  int64_t index = 0;
  for (const auto& [path, spec] : reader.datasets()) {
    if (index++ % 20 > 0) continue;
    const int64_t last = Hdf5File::open(file).offset(path) +
                         spec.count() * static_cast<int64_t>(at::elementSize(spec.dtype)) - 1;
    char byte = 0;
    ByteFile bytes = ByteFile::open(file);
    bytes.read(last, &byte, 1);
    const char flipped = static_cast<char>(byte ^ 1);
    bytes.write(last, &flipped, 1);
    for (const int64_t parts : {1, 3, 300}) {
      int64_t found = 0;
      for (int64_t part = 0; part < parts; ++part) {
        try {
          reader.verify("/", {part, parts});
        } catch (const UserError& error) {
          expect_contains(error.what(), path);
          ++found;
        }
      }
      EXPECT_EQ(found, 1) << path << " in " << parts;
    }
    bytes.write(last, &byte, 1);
  }
}

TEST(Checkpoint, KeepsNotANumberAndSignedZero) {
  const TemporaryFolder folder;
  const auto bits = at::tensor({0x7fc00123, -0x7fffffff - 1, 1, 0x7f800000}, at::kInt);
  save_checkpoint(folder.file("a.h5"), example_header(), {{"/parameters/x", {2, 2}, at::kFloat}},
                  {{"/parameters/x", 0, bits.view(at::kFloat)}}, Writers::alone());
  const CheckpointReader reader(folder.file("a.h5"));
  EXPECT_TRUE(at::equal(reader.read("/parameters/x").view({-1}).view(at::kInt), bits));
}

TEST(Checkpoint, AFailedSaveLeavesThePreviousFileAndNothingElse) {
  const TemporaryFolder folder;
  const std::string file = folder.file("step-00000100.h5");
  save_example(file);
  const std::string before = read_file(file);
  auto slices = example_slices(0, 1);
  slices[3].begin = 1;
  const std::string error = error_of<UserError>([&] {
    save_checkpoint(file, example_header(), example_datasets(), slices, Writers::alone());
  });
  expect_contains(error, file);
  expect_contains(error, slices[3].path);
  EXPECT_EQ(read_file(file), before);
  EXPECT_FALSE(has_partial(folder.path()));
}

TEST(Checkpoint, ADiskWithoutRoomIsNoticedBeforeAnythingIsWritten) {
  const TemporaryFolder folder;
  const DatasetSpec huge = {"/parameters/embedding/weight", {int64_t{1} << 40, 1 << 10}};
  const std::string error = error_of<UserError>([&] {
    save_checkpoint(folder.file("huge.h5"), example_header(), {huge}, {}, Writers::alone());
  });
  expect_contains(error, "it takes 4503599628 MB and the disk of " + folder.path());
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Checkpoint, AFullDiskLeavesThePreviousFileAndNothingElse) {
  const TemporaryFolder folder;
  const std::string file = folder.file("step-00000100.h5");
  save_example(file);
  const std::string before = read_file(file);
  CheckpointWriter writer(file, example_header(), example_datasets(), Writers::alone());
  {
    const FullDisk full;
    for (const DatasetSlice& slice : example_slices(0, 1)) writer.write(slice);
  }
  const std::string error = error_of<UserError>([&] { writer.commit(); });
  expect_contains(error, "cannot write " + file);
  expect_contains(error, "File too large");
  EXPECT_EQ(read_file(file), before);
  EXPECT_FALSE(has_partial(folder.path()));
}

TEST(Checkpoint, RefusesToSaveADatasetThatNobodyWroteWhole) {
  const TemporaryFolder folder;
  auto slices = example_slices(0, 1);
  const std::string forgotten = slices.back().path;
  slices.pop_back();
  expect_contains(error_of<UserError>([&] {
                    save_checkpoint(folder.file("a.h5"), example_header(), example_datasets(),
                                    slices, Writers::alone());
                  }),
                  forgotten + ": 0 of ");
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Checkpoint, RefusesSlicesOfAnotherTypeOrLayout) {
  const TemporaryFolder folder;
  const DatasetSpec spec{"/parameters/x", {4}, at::kFloat};
  const auto save = [&](const std::string& path, const at::Tensor& values) {
    return error_of<UserError>([&] {
      save_checkpoint(folder.file("a.h5"), example_header(), {spec}, {{path, 0, values}},
                      Writers::alone());
    });
  };
  expect_contains(save("/parameters/x", at::ones({4}, at::kDouble)), "a slice is 1-d");
  expect_contains(save("/parameters/x", at::ones({2, 2})), "a slice is 1-d");
  expect_contains(save("/parameters/x", at::ones({8}).slice(0, 0, 8, 2)), "a slice is 1-d");
  expect_contains(save("/parameters/y", at::ones({4})), "/parameters/y: no such dataset");
  EXPECT_EQ(save("/parameters/x", at::ones({4})), "");
}

TEST(Checkpoint, AnAbandonedWriterLeavesNothing) {
  const TemporaryFolder folder;
  {
    CheckpointWriter writer(folder.file("a.h5"), example_header(), example_datasets(),
                            Writers::alone());
    EXPECT_TRUE(has_partial(folder.path()));
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Checkpoint, NamesAFileThatIsNoCheckpoint) {
  const TemporaryFolder folder;
  expect_contains(open_error(folder.file("none.h5")), "none.h5: there is no such file");
  write_file(folder.file("text.h5"), "not HDF5 at all");
  expect_contains(open_error(folder.file("text.h5")), "text.h5 is not an HDF5 file");
  expect_contains(open_error(folder.path()), "is a folder: give a checkpoint, step-*.h5");
  fs::create_directories(folder.file("run/checkpoints"));
  write_file(checkpoint_file(folder.file("run/checkpoints"), 7), "");
  for (const char* name : {"run", "run/checkpoints"}) {
    expect_contains(open_error(folder.file(name)), "run/checkpoints/step-00000007.h5");
  }
  auto foreign = Hdf5File::create(folder.file("foreign.h5"));
  foreign.write_attribute("/", "format", std::string("other"));
  foreign.close();
  expect_contains(open_error(folder.file("foreign.h5")), "foreign.h5 is not a rondo checkpoint");
}

TEST(Checkpoint, NamesANewerFormatAndAMissingAttribute) {
  const TemporaryFolder folder;
  const std::string path = folder.file("a.h5");
  const auto write = [&](int64_t version) {
    auto file = Hdf5File::create(path);
    file.write_attribute("/", "format", std::string("rondo"));
    file.write_attribute("/", "format_version", version);
    for (const char* name : {"step", "tokens"}) {
      if (version == 0) file.write_attribute("/", name, int64_t{1});
    }
    if (version == 0) file.write_attribute("/", "config", std::string());
    file.close();
  };
  write(2);
  expect_contains(open_error(path), "has format_version 2, this program reads up to 1");
  write(1);
  expect_contains(open_error(path), "the root attribute 'step' is missing");
  write(0);
  EXPECT_EQ(open_error(path),
            path + ": the root attribute 'model' is missing: use another checkpoint");
}

TEST(Checkpoint, NamesATruncatedFileAtEveryLength) {
  const TemporaryFolder folder;
  save_example(folder.file("a.h5"));
  const std::string whole = read_file(folder.file("a.h5"));
  const std::string cut = folder.file("cut.h5");
  for (size_t length = 0; length < whole.size(); length += 1 + whole.size() / 50) {
    write_file(cut, whole.substr(0, length));
    const std::string error = open_error(cut);
    expect_contains(error, cut);
  }
  expect_contains(open_error(cut), "is damaged");
}

TEST(Checkpoint, NamesADatasetWhoseBytesChanged) {
  const TemporaryFolder folder;
  const std::string file = folder.file("a.h5");
  const DatasetSpec spec{"/parameters/x", {1000}, at::kFloat};
  save_checkpoint(file, example_header(), {spec}, {{spec.path, 0, at::full({1000}, 1.5f)}},
                  Writers::alone());
  std::string bytes = read_file(file);
  const float value = 1.5f;
  const std::string pattern(reinterpret_cast<const char*>(&value), sizeof(value));
  bytes[bytes.rfind(pattern)] ^= 1;
  write_file(file, bytes);
  const CheckpointReader reader(file);
  const std::string expected = "/parameters/x does not match its checksum";
  expect_contains(error_of<UserError>([&] { reader.read(spec.path); }), expected);
  expect_contains(error_of<UserError>([&] { reader.verify(); }), expected);
}

TEST(Checkpoint, NamesMissingExtraAndMisshapenDatasets) {
  const TemporaryFolder folder;
  save_example(folder.file("a.h5"));
  const CheckpointReader reader(folder.file("a.h5"));
  expect_contains(error_of<UserError>([&] { reader.read("/parameters/none"); }),
                  "has no dataset /parameters/none");
  const auto complaint = [&](const std::vector<ParameterSpec>& parameters) {
    return error_of<UserError>([&] { check_parameters(reader, parameters); });
  };
  auto parameters = example_parameters();
  parameters.push_back({{Kind::slot, Slot::attention, 9}, "q_proj/weight", {8, 8}});
  expect_contains(complaint(parameters), "lacks /parameters/attention/9/q_proj/weight");
  parameters = example_parameters();
  parameters.erase(parameters.begin());
  expect_contains(complaint(parameters),
                  "has /parameters/embedding/weight, which the model does not use");
  parameters = example_parameters();
  parameters.front().shape = {16, 9};
  expect_contains(complaint(parameters),
                  "/parameters/embedding/weight has shape [16, 8], the model needs [16, 9]");
}

TEST(Checksum, IsTheSumOverSlicesAndSeesASwap) {
  const std::vector<double> values = {1.0, 2.0, 3.0, 0.0};
  const std::vector<double> swapped = {2.0, 1.0, 3.0, 0.0};
  const uint64_t whole = checksum(values.data(), 8, 0, 4);
  EXPECT_EQ(whole, checksum(values.data(), 8, 0, 1) + checksum(values.data() + 1, 8, 1, 3));
  EXPECT_NE(whole, checksum(swapped.data(), 8, 0, 4));
  EXPECT_NE(whole, checksum(values.data(), 8, 0, 3));
  EXPECT_NE(whole, checksum(values.data(), 8, 1, 4));
  EXPECT_NE(checksum(values.data(), 4, 0, 2), checksum(values.data() + 1, 4, 0, 2));
}

TEST(CheckpointFolder, FindsTheHighestStepAmongCompleteFiles) {
  const TemporaryFolder folder;
  EXPECT_EQ(newest_checkpoint(folder.path()), std::nullopt);
  EXPECT_EQ(newest_checkpoint(folder.file("none")), std::nullopt);
  for (const char* name : {"step-00000009.h5", "step-00000100.h5", "step-00000200.h5.7.partial",
                           "step-abc.h5", "best.h5", "step-00000300.h5.bak", "xstep-00000400.h5"}) {
    write_file(folder.file(name), "");
  }
  fs::create_directory(folder.file("step-00000500.h5"));
  EXPECT_EQ(newest_checkpoint(folder.path()), checkpoint_file(folder.path(), 100));
  const std::string nine_digits = checkpoint_file(folder.path(), 100'000'000);
  const std::string eight_digits = checkpoint_file(folder.path(), 99'999'999);
  write_file(nine_digits, "");
  write_file(eight_digits, "");
  EXPECT_EQ(
      list_checkpoints(folder.path()),
      (std::vector<std::string>{nine_digits, eight_digits, checkpoint_file(folder.path(), 100),
                                checkpoint_file(folder.path(), 9)}));
}

TEST(CheckpointFolder, PrunesAllButTheNewestAndWhatEarlierSavesLeft) {
  const TemporaryFolder folder;
  for (int64_t step : {10, 20, 30, 40}) write_file(checkpoint_file(folder.path(), step), "");
  for (int64_t step : {30, 50}) write_file(checkpoint_file(folder.path(), step) + ".7.partial", "");
  write_file(folder.file("mine.h5"), "");
  prune_checkpoints(folder.path(), 40, 0);
  EXPECT_EQ(list_checkpoints(folder.path()).size(), 4u);
  prune_checkpoints(folder.path(), 40, 2);
  EXPECT_EQ(list_checkpoints(folder.path()),
            (std::vector<std::string>{checkpoint_file(folder.path(), 40),
                                      checkpoint_file(folder.path(), 30)}));
  EXPECT_FALSE(fs::exists(checkpoint_file(folder.path(), 30) + ".7.partial"));
  EXPECT_TRUE(fs::exists(checkpoint_file(folder.path(), 50) + ".7.partial"));
  EXPECT_TRUE(fs::exists(folder.file("mine.h5")));
}

TEST(Checkpoint, KeepsTheNewestAndEveryKthStep) {
  const TemporaryFolder folder;
  for (int64_t step : {10, 20, 30, 40, 50}) write_file(checkpoint_file(folder.path(), step), "");
  prune_checkpoints(folder.path(), 50, 1, 20);
  EXPECT_EQ(list_checkpoints(folder.path()),
            (std::vector<std::string>{checkpoint_file(folder.path(), 50),
                                      checkpoint_file(folder.path(), 40),
                                      checkpoint_file(folder.path(), 20)}));
}

/// A run that passed over a damaged file of a later step counts its own files only.
TEST(CheckpointFolder, PrunesWithoutRegardToLaterSteps) {
  const TemporaryFolder folder;
  for (int64_t step : {10, 20, 100}) write_file(checkpoint_file(folder.path(), step), "");
  prune_checkpoints(folder.path(), 20, 1);
  EXPECT_EQ(list_checkpoints(folder.path()),
            (std::vector<std::string>{checkpoint_file(folder.path(), 100),
                                      checkpoint_file(folder.path(), 20)}));
}

TEST(ModelJson, RefusesWhatIsNoModelOrMap) {
  const auto model = [](const std::string& text) {
    return error_of<UserError>([&] { model_from_json(text); });
  };
  expect_contains(model("["), "model is not a JSON object");
  expect_contains(model(R"({"hidden": "8"})"), R"(model.hidden = "8" has the wrong type)");
  expect_contains(model(R"({"hidden": 0})"), "model.hidden = 0 must be at least 1");
  const auto sharing = [](const std::string& text) {
    return error_of<UserError>([&] { sharing_from_json(text); });
  };
  expect_contains(sharing(R"({"attention": [0]})"), "sharing.feed_forward is not a list");
  expect_contains(sharing(R"({"attention": [0], "feed_forward": [0, 1]})"),
                  "sharing.feed_forward has 2 layers, sharing.attention has 1");
  expect_contains(sharing(R"({"attention": [-1]})"), "sharing.attention holds -1");
  expect_contains(sharing(R"({"attention": [0.5]})"), "sharing.attention holds 0.5");
}

}  // namespace
}  // namespace rondo
