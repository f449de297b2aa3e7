// Message buffers that are used again.
#pragma once

#include <torch/torch.h>

#include <vector>

namespace rondo {

/// Tensors of one width. One that nobody refers to any more is handed out again: the memory of
/// received activations is touched for the first time only once.
class BufferPool {
 public:
  explicit BufferPool(torch::TensorOptions options) : options_(options) {}

  /// [rows, width], contents unspecified. Free again when the last tensor that shares its memory is
  /// gone.
  torch::Tensor take(int64_t rows, int64_t width) {
    for (const torch::Tensor& buffer : buffers_) {
      const bool is_free = buffer.storage().use_count() == 1;
      if (is_free && buffer.size(0) == rows && buffer.size(1) == width) return share(buffer);
    }
    buffers_.push_back(torch::empty({rows, width}, options_));
    return share(buffers_.back());
  }

  size_t size() const { return buffers_.size(); }

 private:
  static torch::Tensor share(const torch::Tensor& buffer) { return buffer.detach(); }

  torch::TensorOptions options_;
  std::vector<torch::Tensor> buffers_;
};

}  // namespace rondo
