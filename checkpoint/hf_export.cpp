#include "checkpoint/hf_export.h"

#include <fmt/format.h>
#include <torch/torch.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <vector>

#include "base/partial_path.h"
#include "base/user_error.h"
#include "checkpoint/byte_file.h"
#include "checkpoint/hf_config.h"
#include "checkpoint/hf_names.h"
#include "checkpoint/hf_tokenizer_file.h"
#include "checkpoint/safetensors.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;

/// One of their tensors, and ours that it is stacked of.
struct Target {
  HfTensor name;
  std::vector<ParameterSpec> parts;
  std::vector<int64_t> shape;
  int64_t begin = 0;  ///< bytes behind the header

  int64_t count() const {
    return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
  }
};

/// Theirs in the order of our parameters, with their places in the file.
std::vector<Target> targets_of(const ModelSpec& spec, torch::Dtype dtype) {
  std::vector<Target> targets;
  std::map<std::string, size_t> place;
  const SharingMap untied = make_sharing_map({}, static_cast<int>(spec.depth));
  for (const ParameterSpec& parameter : parameter_list(spec, untied, 0)) {
    const HfTensor name = hf_tensor(spec, parameter);
    const auto [found, is_new] = place.emplace(name.name, targets.size());
    if (is_new) targets.push_back({name, {}, hf_shape(name, parameter.shape)});
    targets[found->second].parts.push_back(parameter);
  }
  int64_t begin = 0;
  for (Target& target : targets) {
    target.begin = begin;
    begin += target.count() * static_cast<int64_t>(torch::elementSize(dtype));
  }
  return targets;
}

/// Eight bytes of length, then JSON, padded so that the tensors begin at a multiple of eight.
std::string safetensors_header(const std::vector<Target>& targets, torch::Dtype dtype) {
  nlohmann::json header;
  header["__metadata__"] = {{"format", "pt"}};
  for (const Target& target : targets) {
    const int64_t end =
        target.begin + target.count() * static_cast<int64_t>(torch::elementSize(dtype));
    header[target.name.name] = {{"dtype", safetensors_type(dtype)},
                                {"shape", target.shape},
                                {"data_offsets", {target.begin, end}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t length = text.size();
  std::string bytes(8, '\0');
  for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(length >> (8 * i) & 0xff);
  return bytes + text;
}

void write_tensors(const std::string& path, const UntiedModel& model, torch::Dtype dtype,
                   const std::function<void(int64_t, int64_t)>& progress) {
  const std::vector<Target> targets = targets_of(model.header.model, dtype);
  const std::string header = safetensors_header(targets, dtype);
  ByteFile file = ByteFile::create(path);
  file.write(0, header.data(), static_cast<int64_t>(header.size()));
  int64_t done = 0;
  for (const Target& target : targets) {
    std::vector<torch::Tensor> parts;
    for (const ParameterSpec& part : target.parts) parts.push_back(model.parameters(part));
    const torch::Tensor values =
        put_parts(target.name, parts, model.header.model).to(dtype).contiguous();
    file.write(static_cast<int64_t>(header.size()) + target.begin, values.data_ptr(),
               static_cast<int64_t>(values.nbytes()));
    progress(++done, static_cast<int64_t>(targets.size()));
  }
  file.sync();
}

void write_text(const std::string& path, const std::string& text) {
  ByteFile file = ByteFile::create(path);
  file.write(0, text.data(), static_cast<int64_t>(text.size()));
  file.sync();
}

}  // namespace

void check_new_folder(const std::string& dir) {
  if (fs::exists(dir) && !(fs::is_directory(dir) && fs::is_empty(dir))) {
    throw UserError(fmt::format("{} is there already; name a folder that is new or empty", dir));
  }
}

void export_hugging_face(const std::string& dir, const UntiedModel& model, torch::Dtype dtype,
                         const std::function<void(int64_t, int64_t)>& progress) {
  check_new_folder(dir);
  const fs::path whole = fs::path(dir).has_filename() ? fs::path(dir) : fs::path(dir).parent_path();
  const std::string partial = partial_path(whole.string(), getpid());
  try {
    fs::create_directories(partial);
    const std::optional<StoredTokenizer>& tokenizer = model.header.tokenizer;
    write_text(
        partial + "/config.json",
        hugging_face_config(model.header.model, dtype, tokenizer ? tokenizer->end : std::nullopt));
    const std::string name = tokenizer ? hugging_face_tokenizer_file(*tokenizer) : "";
    if (!name.empty()) write_text(partial + "/" + name, tokenizer->contents);
    write_tensors(partial + "/model.safetensors", model, dtype, progress);
    fs::rename(partial, whole);
    ByteFile::sync_folder(whole.has_parent_path() ? whole.parent_path().string() : ".");
  } catch (const std::exception& error) {
    std::error_code gone;
    fs::remove_all(partial, gone);
    throw UserError(fmt::format("cannot write {}: {}", dir, error.what()));
  }
}

}  // namespace rondo
