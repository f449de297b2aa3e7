// Reads .safetensors: 8 bytes of header length, a JSON header, the tensors' bytes, little-endian
// (huggingface.co/docs/safetensors). Nothing in a file is trusted.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace rondo {

/// "F32", "F64", "BF16" or "F16".
std::string safetensors_type(torch::Dtype dtype);

/// One memory-mapped file. Errors are UserErrors that name the file and the tensor.
class SafetensorsFile {
 public:
  struct Entry {
    std::string dtype;           ///< as in the file: "F32", "BF16", …
    std::vector<int64_t> shape;  ///< row-major
    int64_t begin = 0;           ///< bytes from the first tensor's first byte
    int64_t end = 0;

    bool holds_floats() const;  ///< of a type that `read` knows
  };

  /// Checks the whole header: it fits the file; the tensors' sizes match their shapes; they follow
  /// one another without overlap or gap and fill the file.
  explicit SafetensorsFile(const std::string& path);

  const std::map<std::string, Entry>& entries() const { return entries_; }

  /// A copy in the stored dtype and shape, on the CPU. Floats of 2, 4 and 8 bytes and I64.
  torch::Tensor read(const std::string& name) const;

 private:
  void parse_header(int64_t file_bytes);
  void check_layout(int64_t data_bytes) const;

  std::string path_;
  std::shared_ptr<const char> mapping_;
  const char* data_ = nullptr;  ///< the first tensor's first byte, in `mapping_`
  std::map<std::string, Entry> entries_;
};

/// The tensors of a model folder: model.safetensors, or the shards that
/// model.safetensors.index.json lists.
class SafetensorsFolder {
 public:
  /// Opens every file and checks that each tensor is in the one that the index says.
  explicit SafetensorsFolder(const std::string& dir);

  /// From now on names have `base` in front, where the files store them without.
  void put_below(const std::string& base);

  std::vector<std::string> names() const;
  bool has(const std::string& name) const { return place_of_.count(name) > 0; }
  /// Of one that is there.
  const SafetensorsFile::Entry& entry(const std::string& name) const;
  /// Throws UserError when there is no such tensor.
  torch::Tensor read(const std::string& name) const;

 private:
  void open_shards(const std::string& index);

  std::string dir_;
  std::map<std::string, SafetensorsFile> files_;  ///< by file name
  struct Place {
    std::string file;    ///< its name
    std::string stored;  ///< what the tensor is called there
  };
  std::map<std::string, Place> place_of_;  ///< by the tensor's name
};

}  // namespace rondo
