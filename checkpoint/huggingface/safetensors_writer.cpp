#include "checkpoint/huggingface/safetensors_writer.h"

#include <fmt/format.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>
#include <stdexcept>

#include "checkpoint/format/byte_file.h"
#include "checkpoint/huggingface/safetensors.h"

namespace rondo {
namespace {

/// Eight bytes of length, then JSON, padded so that the tensors begin at a multiple of eight.
std::string header_of(const std::vector<TensorToWrite>& tensors, at::ScalarType dtype) {
  nlohmann::json header;
  header["__metadata__"] = {{"format", "pt"}};
  int64_t begin = 0;
  for (const TensorToWrite& tensor : tensors) {
    const int64_t end = begin + tensor.bytes(dtype);
    header[tensor.name] = {{"dtype", safetensors_type(dtype)},
                           {"shape", tensor.shape},
                           {"data_offsets", {begin, end}}};
    begin = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t length = text.size();
  std::string bytes(8, '\0');
  for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(length >> (8 * i) & 0xff);
  return bytes + text;
}

/// In their order; a shard takes tensors while they fit.
std::vector<std::vector<TensorToWrite>> shards_of(const std::vector<TensorToWrite>& tensors,
                                                  at::ScalarType dtype, int64_t most) {
  std::vector<std::vector<TensorToWrite>> shards;
  int64_t room = 0;
  for (const TensorToWrite& tensor : tensors) {
    const int64_t bytes = tensor.bytes(dtype);
    if (shards.empty() || bytes > room) {
      shards.emplace_back();
      room = most;
    }
    shards.back().push_back(tensor);
    room -= bytes;
  }
  return shards;
}

}  // namespace

int64_t TensorToWrite::bytes(at::ScalarType dtype) const {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>()) *
         static_cast<int64_t>(at::elementSize(dtype));
}

void write_safetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                       at::ScalarType dtype, const Written& written) {
  ByteFile file = ByteFile::create(path);
  const std::string header = header_of(tensors, dtype);
  auto at = static_cast<int64_t>(header.size());
  file.write(0, header.data(), at);
  for (const TensorToWrite& tensor : tensors) {
    const at::Tensor made = tensor.make();
    const at::Tensor values = made.to(dtype).contiguous();
    if (dtype == at::kHalf && values.isinf().any().item<bool>() &&
        !made.isinf().any().item<bool>()) {
      throw std::runtime_error(tensor.name +
                               " has values beyond float16's 65504; take --precision bfloat16");
    }
    if (values.sizes() != at::IntArrayRef(tensor.shape)) {
      throw std::logic_error(tensor.name + " has another shape than its header says");
    }
    file.write(at, values.data_ptr(), static_cast<int64_t>(values.nbytes()));
    at += static_cast<int64_t>(values.nbytes());
    written();
  }
  file.sync();
}

void write_model_safetensors(const std::string& dir, const std::vector<TensorToWrite>& tensors,
                             at::ScalarType dtype, int64_t most, const Written& written) {
  const auto shards = shards_of(tensors, dtype, most);
  if (shards.size() == 1) {
    return write_safetensors(dir + "/model.safetensors", tensors, dtype, written);
  }
  nlohmann::json index;
  int64_t total = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    write_safetensors(fmt::format("{}/{}", dir, name), shards[i], dtype, written);
    for (const TensorToWrite& tensor : shards[i]) {
      index["weight_map"][tensor.name] = name;
      total += tensor.bytes(dtype);
    }
  }
  index["metadata"] = {{"total_size", total}};
  write_text_file(dir + "/model.safetensors.index.json", index.dump(2) + "\n");
}

void write_text_file(const std::string& path, const std::string& text) {
  ByteFile file = ByteFile::create(path);
  file.write(0, text.data(), static_cast<int64_t>(text.size()));
  file.sync();
}

}  // namespace rondo
