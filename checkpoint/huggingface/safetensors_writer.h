// Writes .safetensors, in one file or in shards.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace rondo {

/// A tensor that is made when its turn comes, so that one at a time is in memory.
struct TensorToWrite {
  std::string name;
  std::vector<int64_t> shape;        ///< row-major
  std::function<at::Tensor()> make;  ///< in that shape, on the CPU, of any float type

  int64_t bytes(at::ScalarType dtype) const;
};

/// Called after each tensor.
using Written = std::function<void()>;

/// The file is on the disk when this returns. Throws std::runtime_error.
void write_safetensors(const std::string& path, const std::vector<TensorToWrite>& tensors,
                       at::ScalarType dtype, const Written& written);

/// model.safetensors in DIR; where that would be larger than `most` bytes,
/// model-00001-of-00003.safetensors and so on, none larger unless it is a single tensor, and
/// model.safetensors.index.json, as transformers writes them.
void write_model_safetensors(const std::string& dir, const std::vector<TensorToWrite>& tensors,
                             at::ScalarType dtype, int64_t most, const Written& written);

/// `text` as the whole of a file that is on the disk when this returns.
void write_text_file(const std::string& path, const std::string& text);

}  // namespace rondo
