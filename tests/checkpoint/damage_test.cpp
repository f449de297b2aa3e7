// Whatever happens to a file, reading it gives its values or says in one line what is wrong.

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/user_error.h"
#include "checkpoint/conversion/untied_model.h"
#include "checkpoint/format/checkpoint_reader.h"
#include "checkpoint/format/checkpoint_writer.h"
#include "tests/checkpoint/example_checkpoint.h"
#include "tests/checkpoint/foreign_hdf5.h"
#include "tests/checkpoint/hugging_face_example.h"
#include "tests/checkpoint/lying_folder.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;

constexpr const char* checkpoint_name = "step-00000100.h5";
constexpr const char* model_name = "model.safetensors";

/// Reads all of a folder as the program does. Throws UserError; anything that is not as it was is a
/// std::logic_error.
using Examine = void (*)(const std::string& folder);

void demand(bool same, const std::string& what) {
  if (!same) throw std::logic_error(what + " is not as it was");
}

/// All that a model's source gives.
void read_parameters(const UntiedModel& model) {
  const ModelSpec& spec = model.header.model.spec;
  for (const ParameterSpec& parameter : parameters(untied(spec))) {
    model.parameters(parameter);
    if (!model.exp_avg) continue;
    model.exp_avg(parameter);
    model.exp_avg_sq(parameter);
  }
}

/// `inspect --verify`, the load of `eval` and of a resumed `train`, and `convert --from`.
void examine_checkpoint(const std::string& folder) {
  const std::string file = fmt::format("{}/{}", folder, checkpoint_name);
  const CheckpointReader reader(file);
  const CheckpointHeader& header = reader.header();
  check_parameters(reader, parameters(header.model));
  reader.verify();
  const CheckpointHeader expected = example_header();
  demand(header.step == expected.step && header.tokens == expected.tokens, "step");
  demand(header.config == expected.config && header.tokenizer == expected.tokenizer, "config");
  demand(header.model.spec == expected.model.spec && header.model.sharing == expected.model.sharing,
         "model");
  demand(header.model.relaxation_rank == expected.model.relaxation_rank, "rank");
  const std::vector<DatasetSpec> datasets = example_datasets();
  demand(reader.datasets().size() == datasets.size(), "the list of datasets");
  for (size_t k = 0; k < datasets.size(); ++k) {
    const at::Tensor values = example_values(datasets[k], k).view(datasets[k].shape);
    demand(at::equal(reader.read(datasets[k].path), values), datasets[k].path);
  }
  read_parameters(open_checkpoint(file, OwnTerms::all));
}

/// Value i of tensor k is k + i/1024.
std::map<std::string, at::Tensor> counted_tensors() {
  auto tensors = tiny_tensors(4);
  double k = 0.0;
  for (auto& [name, tensor] : tensors) {
    tensor = (at::arange(tensor.numel(), at::kFloat) / 1024 + k++).view(tensor.sizes());
  }
  return tensors;
}

void examine_folder(const std::string& folder) {
  const UntiedModel model = open_hugging_face(folder);
  read_parameters(model);
  const auto tensors = counted_tensors();
  const auto same = [&](const char* theirs, const Component& component, const char* name) {
    const at::Tensor& expected = tensors.at(theirs);
    demand(at::equal(model.parameters({component, name, expected.sizes().vec()}), expected),
           theirs);
  };
  same("model.embed_tokens.weight", {Kind::embedding}, "weight");
  same("model.norm.weight", {Kind::final_norm}, "weight");
  same("model.layers.1.self_attn.q_proj.weight", {Kind::slot, Slot::attention, 1}, "q_proj/weight");
  same("model.layers.3.mlp.down_proj.weight", {Kind::slot, Slot::feed_forward, 3},
       "down_proj/weight");
  demand(model.header.model.spec.depth == 4, "the depth");
}

/// A damaged file may ask for any amount of memory, which the machine must not give.
void limit_memory() {
#ifndef __SANITIZE_ADDRESS__  // whose shadow is larger than any limit
  int64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const rlim_t most = static_cast<rlim_t>(pages * sysconf(_SC_PAGESIZE)) + (rlim_t{1} << 30);
  const rlimit limit = {most, most};
  setrlimit(RLIMIT_AS, &limit);
#endif
}

/// What came of it: "" when all is as it was, "refused: …", or what should not be.
std::string outcome_in_child(Examine examine, const std::string& folder) {
  try {
    examine(folder);
    return "";
  } catch (const UserError& error) {
    return std::string("refused: ") + error.what();
  } catch (const std::exception& error) {
    return std::string("threw ") + error.what();
  }
}

/// The same of a process of its own: a crash, a hang and an allocation that fails are outcomes too.
std::string outcome(Examine examine, const std::string& folder) {
  constexpr unsigned patience = 20;
  int ends[2] = {};
  if (pipe(ends) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    alarm(patience);
    limit_memory();
    const std::string text = outcome_in_child(examine, folder).substr(0, 10'000);
    const bool told = write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size());
    _exit(told ? 0 : 3);
  }
  close(ends[1]);
  std::string text;
  char part[4096];
  for (ssize_t got = 0; (got = read(ends[0], part, sizeof(part))) > 0;) {
    text.append(part, static_cast<size_t>(got));
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) return "hangs";
  if (status == 0) return text;
  return fmt::format("crashes: {} {}", WIFSIGNALED(status) ? "signal" : "exit code",
                     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

/// Inflicts each damage on a copy of `original`; returns how many were refused.
int expect_no_harm(const std::string& original, Examine examine,
                   const std::vector<Damage>& damages) {
  const TemporaryFolder copies;
  int refused = 0;
  for (const Damage& damage : damages) {
    const std::string folder = copies.file("copy");
    fs::remove_all(folder);
    fs::copy(original, folder);
    damage.inflict(folder);
    const std::string found = outcome(examine, folder);
    if (found.empty()) continue;
    ++refused;
    EXPECT_EQ(found.find("refused: "), 0u) << damage.description << "\n  " << found;
    EXPECT_NE(found.find(folder), std::string::npos) << damage.description << "\n  " << found;
    EXPECT_EQ(found.find('\n'), std::string::npos) << damage.description << "\n  " << found;
  }
  return refused;
}

/// RONDO_DAMAGES=4 tries four times as many; the default is what a test run has time for.
int often(int count) {
  const char* factor = std::getenv("RONDO_DAMAGES");
  return factor == nullptr ? count : count * std::max(1, std::atoi(factor));
}

/// A folder with the example's checkpoint.
void save_example(const TemporaryFolder& folder) {
  save_checkpoint(folder.file(checkpoint_name), example_header(), example_datasets(),
                  example_slices(0, 1), Writers::alone());
  ASSERT_EQ(outcome(examine_checkpoint, folder.path()), "");
}

TEST(Damage, OfACheckpointsBytesIsRefusedOrDoesNoHarm) {
  const TemporaryFolder folder;
  save_example(folder);
  const auto size = static_cast<int64_t>(fs::file_size(folder.file(checkpoint_name)));
  const auto anywhere = byte_damages({checkpoint_name, 0, size}, 1, often(350));
  EXPECT_GT(expect_no_harm(folder.path(), examine_checkpoint, anywhere), 300);
  // Where HDF5 keeps the attributes of the root and what leads to the datasets.
  const auto head = byte_damages({checkpoint_name, 0, 4096}, 7, often(250));
  EXPECT_GT(expect_no_harm(folder.path(), examine_checkpoint, head), 200);
}

TEST(Damage, InTheNameOfACheckpointIsRefused) {
  const TemporaryFolder folder;
  save_example(folder);
  const auto damages = replacements(checkpoint_name);
  EXPECT_EQ(expect_no_harm(folder.path(), examine_checkpoint, damages), damages.size());
}

TEST(Damage, ThroughHdf5IsRefusedOrDoesNoHarm) {
  const TemporaryFolder folder;
  save_example(folder);
  const auto attributes = foreign_attributes(checkpoint_name);
  EXPECT_EQ(expect_no_harm(folder.path(), examine_checkpoint, attributes), attributes.size());
  // Seven change nothing: the same values, another byte order, chunks, compression, values within
  // the header, a group that holds itself.
  const auto datasets = foreign_datasets(checkpoint_name);
  EXPECT_EQ(expect_no_harm(folder.path(), examine_checkpoint, datasets), datasets.size() - 7);
}

void write_folder(const TemporaryFolder& folder) {
  write_tiny(folder, tiny_config(), counted_tensors());
  ASSERT_EQ(outcome(examine_folder, folder.path()), "");
}

TEST(Damage, OfASafetensorsHeaderIsRefusedOrDoesNoHarm) {
  const TemporaryFolder folder;
  write_folder(folder);
  const std::string bytes = read_file(folder.file(model_name));
  const auto behind = static_cast<int64_t>(bytes.find("}}") + 2);
  expect_no_harm(folder.path(), examine_folder,
                 byte_damages({model_name, 0, behind}, 2, often(250)));
  const auto lies = lying_headers();
  EXPECT_EQ(expect_no_harm(folder.path(), examine_folder, lies), lies.size());
}

TEST(Damage, OfTheFilesOfAFolderIsRefused) {
  const TemporaryFolder folder;
  write_folder(folder);
  for (const char* name : {model_name, "config.json"}) {
    const auto damages = replacements(name);
    EXPECT_EQ(expect_no_harm(folder.path(), examine_folder, damages), damages.size());
  }
  expect_no_harm(folder.path(), examine_folder, lying_configs());
}

TEST(Damage, OfAnIndexIsRefusedOrDoesNoHarm) {
  const TemporaryFolder folder;
  write_folder(folder);
  fs::remove(folder.file(model_name));
  nlohmann::json index;
  std::map<std::string, std::map<std::string, at::Tensor>> shards;
  for (const auto& [name, tensor] : counted_tensors()) {
    const char* shard = shards["a.safetensors"].size() < 20 ? "a.safetensors" : "b.safetensors";
    shards[shard][name] = tensor;
    index["weight_map"][name] = shard;
  }
  for (const auto& [shard, tensors] : shards) write_safetensors(folder.file(shard), tensors);
  write_file(folder.file("model.safetensors.index.json"), index.dump());
  ASSERT_EQ(outcome(examine_folder, folder.path()), "");
  // One says where the tensor is, one lists a tensor that the model does not need.
  const auto lies = lying_indices();
  EXPECT_EQ(expect_no_harm(folder.path(), examine_folder, lies), lies.size() - 2);
  expect_no_harm(folder.path(), examine_folder, replacements("model.safetensors.index.json"));
  expect_no_harm(folder.path(), examine_folder, replacements("b.safetensors"));
}

}  // namespace
}  // namespace rondo
