#include "checkpoint/conversion/hf_export.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <vector>

#include "base/partial_path.h"
#include "base/user_error.h"
#include "checkpoint/conversion/peft_export.h"
#include "checkpoint/format/byte_file.h"
#include "checkpoint/huggingface/hf_config.h"
#include "checkpoint/huggingface/hf_files.h"
#include "checkpoint/huggingface/hf_names.h"
#include "checkpoint/huggingface/hf_tokenizer_file.h"
#include "checkpoint/huggingface/safetensors_writer.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;
using Progress = std::function<void(int64_t, int64_t)>;

std::vector<TensorToWrite> model_tensors(const UntiedModel& model) {
  std::vector<TensorToWrite> tensors;
  for (const HfStack& stack : hf_stacks(model.header.model.spec)) {
    tensors.push_back(
        {stack.tensor.name, hf_shape(stack.tensor, stack.parts.front().shape), [&model, stack] {
           std::vector<at::Tensor> parts;
           for (const ParameterSpec& part : stack.parts) {
             parts.push_back(model.parameters(part));
           }
           return put_parts(stack.tensor, parts, model.header.model.spec);
         }});
  }
  return tensors;
}

/// Everything below `partial`, which becomes `whole`.
void write_folder(const std::string& partial, const fs::path& whole, const UntiedModel& model,
                  const HfExportOptions& options, const Progress& progress) {
  const std::vector<TensorToWrite> tensors = model_tensors(model);
  const std::vector<TensorToWrite> adapter =
      options.peft ? peft_tensors(model) : std::vector<TensorToWrite>();
  const auto all = static_cast<int64_t>(tensors.size() + adapter.size());
  const auto written = [&progress, all, done = std::make_shared<int64_t>(0)] {
    progress(++*done, all);
  };
  const std::optional<StoredTokenizer>& tokenizer = model.header.tokenizer;
  fs::create_directories(partial);
  const auto origin = model.header.hf_files.find("config.json");
  write_text_file(partial + "/config.json",
                  hugging_face_config(model.header.model.spec, options.dtype,
                                      tokenizer && !tokenizer->ends.empty()
                                          ? std::optional(tokenizer->ends.front())
                                          : std::nullopt,
                                      origin == model.header.hf_files.end() ? "" : origin->second));
  write_hugging_face_files(partial, model.header.hf_files);
  const std::string name =
      tokenizer ? hugging_face_tokenizer_file(*tokenizer, model.header.hf_files) : "";
  if (!name.empty()) write_text_file(partial + "/" + name, tokenizer->contents);
  write_model_safetensors(partial, tensors, options.dtype, options.shard_bytes, written);
  if (!options.peft) return;
  fs::create_directories(partial + "/adapter");
  write_text_file(partial + "/adapter/adapter_config.json",
                  peft_config(model, fs::absolute(whole).string()));
  write_safetensors(partial + "/adapter/adapter_model.safetensors", adapter, options.dtype,
                    written);
}

/// Without the name that a file had while it was made.
std::string reason(const std::exception& error) {
  const auto* of_system = dynamic_cast<const fs::filesystem_error*>(&error);
  return of_system != nullptr ? of_system->code().message() : error.what();
}

}  // namespace

void check_new_folder(const std::string& dir) {
  if (fs::exists(dir) && !(fs::is_directory(dir) && fs::is_empty(dir))) {
    throw UserError(fmt::format("{} is there already; name a folder that is new or empty", dir));
  }
}

int64_t exported_bytes(const UntiedModel& model, const HfExportOptions& options) {
  std::vector<TensorToWrite> tensors = model_tensors(model);
  if (options.peft) {
    for (TensorToWrite& tensor : peft_tensors(model)) tensors.push_back(std::move(tensor));
  }
  int64_t sum = 0;
  for (const TensorToWrite& tensor : tensors) sum += tensor.bytes(options.dtype);
  return sum;
}

void export_hugging_face(const std::string& dir, const UntiedModel& model,
                         const HfExportOptions& options, const Progress& progress) {
  check_new_folder(dir);
  const fs::path whole = fs::path(dir).has_filename() ? fs::path(dir) : fs::path(dir).parent_path();
  remove_abandoned(whole.string());
  const std::string partial = partial_path(whole.string(), getpid());
  try {
    write_folder(partial, whole, model, options, progress);
    fs::rename(partial, whole);
    ByteFile::sync_folder(whole.has_parent_path() ? whole.parent_path().string() : ".");
  } catch (const std::exception& error) {
    std::error_code gone;
    fs::remove_all(partial, gone);
    // It names what it could not read, or tells of values.
    if (dynamic_cast<const UserError*>(&error) != nullptr) throw;
    throw UserError(fmt::format("cannot write {}: {}", dir, reason(error)));
  }
}

}  // namespace rondo
