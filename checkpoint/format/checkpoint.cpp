#include "checkpoint/format/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <numeric>
#include <regex>

namespace rondo {
namespace {

namespace fs = std::filesystem;

struct StepFile {
  int64_t step;
  std::string path;
};

/// Files of `dir` named step-<digits>.h5<suffix>, newest step first.
std::vector<StepFile> step_files(const std::string& dir, const std::string& suffix) {
  const std::regex pattern("step-([0-9]{8,18})\\.h5" + suffix);
  std::vector<StepFile> found;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(dir, missing)) {
    const std::string name = entry.path().filename().string();
    std::smatch match;
    std::error_code no_file;  // links may go in circles
    if (std::regex_match(name, match, pattern) && !entry.is_directory(no_file)) {
      found.push_back({std::stoll(match[1]), entry.path().string()});
    }
  }
  std::sort(found.begin(), found.end(),
            [](const StepFile& a, const StepFile& b) { return a.step > b.step; });
  return found;
}

}  // namespace

int64_t DatasetSpec::count() const {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

std::map<std::string, std::string> texts_of(const CheckpointHeader& header) {
  std::map<std::string, std::string> texts = {{position_dataset, header.position}};
  if (header.tokenizer) texts[tokenizer_dataset] = header.tokenizer->contents;
  for (const auto& [name, contents] : header.hf_files) texts[hf_files_group + name] = contents;
  std::erase_if(texts, [](const auto& text) { return text.second.empty(); });
  return texts;
}

std::vector<DatasetSpec> datasets_of(const std::vector<ParameterSpec>& parameters,
                                     at::ScalarType dtype, bool optimizer) {
  std::vector<DatasetSpec> list;
  for (const ParameterSpec& parameter : parameters) {
    list.push_back({parameter_dataset(parameter), parameter.shape, dtype});
    if (!optimizer) continue;
    list.push_back({exp_avg_dataset(parameter), parameter.shape, dtype});
    list.push_back({exp_avg_sq_dataset(parameter), parameter.shape, dtype});
  }
  return list;
}

int64_t bytes_of(const std::vector<DatasetSpec>& datasets) {
  int64_t sum = 0;
  for (const DatasetSpec& spec : datasets) {
    sum += spec.count() * static_cast<int64_t>(at::elementSize(spec.dtype));
  }
  return sum;
}

std::string parameter_dataset(const ParameterSpec& parameter) {
  return all_parameters + parameter.path();
}

std::string exp_avg_dataset(const ParameterSpec& parameter) {
  return "/optimizer/exp_avg/" + parameter.path();
}

std::string exp_avg_sq_dataset(const ParameterSpec& parameter) {
  return "/optimizer/exp_avg_sq/" + parameter.path();
}

std::string checkpoint_file(const std::string& dir, int64_t step) {
  return (fs::path(dir) / fmt::format("step-{:08}.h5", step)).string();
}

std::vector<std::string> list_checkpoints(const std::string& dir) {
  std::vector<std::string> paths;
  for (const StepFile& file : step_files(dir, "")) paths.push_back(file.path);
  return paths;
}

std::optional<std::string> newest_checkpoint(const std::string& dir) {
  const std::vector<std::string> all = list_checkpoints(dir);
  return all.empty() ? std::nullopt : std::optional(all.front());
}

std::string best_file(const std::string& dir) { return (fs::path(dir) / "best.h5").string(); }

std::error_code keep_as_best(const std::string& dir, int64_t step) {
  const std::string file = checkpoint_file(dir, step);
  const std::string best = best_file(dir);
  const std::string partial = best + ".partial";
  std::error_code error;
  fs::remove(partial, error);
  fs::create_hard_link(file, partial, error);
  if (error) fs::copy_file(file, partial, error);  // of a file system without links
  if (!error) fs::rename(partial, best, error);
  return error;
}

void set_aside_after(const std::string& dir, int64_t step) {
  for (const StepFile& file : step_files(dir, "")) {
    if (file.step > step) fs::rename(file.path, file.path + ".aside");
  }
}

void prune_checkpoints(const std::string& dir, int64_t saved, int64_t keep, int64_t keep_every) {
  std::vector<StepFile> complete = step_files(dir, "");
  std::erase_if(complete, [&](const StepFile& file) { return file.step > saved; });
  if (complete.empty()) return;
  std::error_code kept_it;  // the next save tries again, and checks the room
  for (const StepFile& partial : step_files(dir, "\\.[0-9]+\\.partial")) {
    if (partial.step <= complete.front().step) fs::remove(partial.path, kept_it);
  }
  if (keep < 1) return;
  for (size_t i = static_cast<size_t>(keep); i < complete.size(); ++i) {
    const bool kept = keep_every > 0 && complete[i].step % keep_every == 0;
    if (!kept) fs::remove(complete[i].path, kept_it);
  }
}

}  // namespace rondo
