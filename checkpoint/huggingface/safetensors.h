// Reads .safetensors: 8 bytes of header length, a JSON header, the tensors' bytes, little-endian
// (huggingface.co/docs/safetensors). Nothing in a file is trusted.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/mapped_file.h"

namespace rondo {

/// "F32", "F64", "BF16" or "F16".
std::string safetensors_type(at::ScalarType dtype);

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
  at::Tensor read(const std::string& name) const;

 private:
  void parse_header(int64_t file_bytes);
  void check_layout(int64_t data_bytes) const;

  std::string path_;
  MappedFile mapping_;
  const char* data_ = nullptr;  ///< the first tensor's first byte, in `mapping_`
  std::map<std::string, Entry> entries_;
};

/// The tensors of a model folder: model.safetensors, or else the shards that
/// model.safetensors.index.json lists. Names lack what torch.compile and the wrappers of data
/// parallelism put into them ("_orig_mod", "module").
class SafetensorsFolder {
 public:
  /// Opens every file that exists. Throws UserError when there is none, naming what the folder
  /// holds instead, and for an index that names no files of the folder.
  explicit SafetensorsFolder(const std::string& dir);

  /// From now on names have `base` in front, where the files store them without.
  void put_below(const std::string& base);

  /// From now on the tensor `from` is called `to`.
  void rename(const std::string& from, const std::string& to);

  std::vector<std::string> names() const;
  bool has(const std::string& name) const { return place_of_.count(name) > 0; }
  /// Of a tensor that exists: in which file, its path.
  std::string file_of(const std::string& name) const;
  /// Of one that exists.
  const SafetensorsFile::Entry& entry(const std::string& name) const;
  /// Throws UserError when there is no such tensor.
  at::Tensor read(const std::string& name) const;

  /// Why a tensor that does not exist is missing, and what helps: "FILE names …: copy …".
  std::string why_missing(const std::string& name) const;
  /// Tensors that the index lists and no file holds.
  std::vector<std::string> missing() const;
  /// Whether there is an index that was passed over, since model.safetensors exists.
  bool passes_index_over() const { return passes_index_over_; }

 private:
  struct Place {
    std::string file;    ///< its name
    std::string stored;  ///< what the tensor is called there
  };

  void open_shards(const std::string& index);
  void add(const std::string& stored, const std::string& file);

  std::string dir_;
  bool passes_index_over_ = false;
  bool has_index_ = false;
  std::map<std::string, SafetensorsFile> files_;  ///< by file name
  std::map<std::string, Place> place_of_;         ///< by the tensor's name
  std::map<std::string, std::string> missing_;    ///< name → why
};

}  // namespace rondo
