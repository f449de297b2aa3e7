// Reads a checkpoint, whole tensors or flat ranges of them, from any world size.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/user_error.h"
#include "checkpoint/format/checkpoint.h"
#include "checkpoint/format/hdf5_file.h"

namespace rondo {

/// One of several equal parts of some work.
struct Share {
  int64_t part = 0;
  int64_t parts = 1;
};

/// A file of a program newer than this one, which is no damage.
class NewerFormatError : public UserError {
 public:
  using UserError::UserError;
};

/// An open checkpoint. Every rank opens its own, without MPI. All functions throw UserError, which
/// names the file and the dataset.
class CheckpointReader {
 public:
  /// Refuses what is not there, not HDF5, truncated, changed after its seal, not rondo's, of a
  /// newer format, or holds a dataset of another type, layout or in another file.
  explicit CheckpointReader(const std::string& file);

  const std::string& file() const { return file_; }
  const CheckpointHeader& header() const { return header_; }
  /// Whether a seal vouches for the attributes; see seal.h.
  bool sealed() const { return sealed_; }

  /// By absolute path.
  const std::map<std::string, DatasetSpec>& datasets() const { return datasets_; }
  bool has(const std::string& path) const { return datasets_.count(path) > 0; }
  const DatasetSpec& dataset(const std::string& path) const;

  /// The whole dataset in its own shape and dtype, on the CPU; its checksum is verified.
  at::Tensor read(const std::string& path) const;
  /// The flat elements from `begin` on into `values`, 1-d of any type and device. Returns the
  /// checksum of those of them that are elements [from, to) of the dataset.
  uint64_t read_range(const std::string& path, int64_t begin, at::Tensor values, int64_t from,
                      int64_t to) const;
  /// Throws where the dataset has a checksum that is not `found`. One without was written by
  /// another program and is taken as it is.
  void compare_checksum(const std::string& path, uint64_t found) const;

  /// Reads every dataset whose path begins with `below` once and compares the checksums. Of
  /// several readers of one file each takes its share of the bytes, in whole datasets.
  void verify(const std::string& below = "/", Share share = {}) const;

 private:
  void read_header();
  void read_tokenizer();
  void read_hf_files();
  std::string contents(const std::string& path) const;
  std::string text(const std::string& name) const;
  int64_t number(const std::string& name) const;
  int64_t natural(const std::string& name) const;
  DatasetSpec describe(const std::string& path) const;
  uint64_t checksum_of(const DatasetSpec& spec, at::Tensor& block) const;

  std::string file_;
  bool sealed_ = false;
  Hdf5File hdf5_;
  CheckpointHeader header_;
  std::map<std::string, DatasetSpec> datasets_;
};

/// The datasets below /parameters are exactly `parameters`, in these shapes, and so are those of
/// each moment, where there are any. Otherwise a UserError names the ones that are missing, left
/// over or of another shape.
void check_parameters(const CheckpointReader& reader, const std::vector<ParameterSpec>& parameters);

}  // namespace rondo
