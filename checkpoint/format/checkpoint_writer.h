// Writes a checkpoint so that its name appears only when it is complete.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/format/byte_file.h"
#include "checkpoint/format/checkpoint.h"
#include "checkpoint/format/hdf5_file.h"
#include "checkpoint/format/value_file.h"
#include "checkpoint/format/writers.h"

namespace rondo {

/// Fills a partial file beside FILE and renames it to FILE in `commit`. Whatever fails on whichever
/// rank, every rank throws the same UserError, the partial file is removed and a FILE of before
/// stays as it was.
///
/// HDF5 lays the file out in the memory of rank 0, every rank writes its values to their offsets in
/// the partial file, and the layout follows them. HDF5's own parallel writing cannot fail on one
/// rank alone: the others would wait in its collective close for ever.
///
/// The constructor and `commit` are collective over the writers with equal arguments, and every
/// rank must reach `commit`. FILE must lie in a folder that all of them see.
class CheckpointWriter {
 public:
  /// Creates the folder of `file` where it is missing.
  CheckpointWriter(std::string file, const CheckpointHeader& header,
                   const std::vector<DatasetSpec>& datasets, Writers writers);
  /// Removes the partial file when `commit` was not reached.
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  /// Independent. Does not throw: `commit` reports the first thing that went wrong.
  void write(const DatasetSlice& slice);

  /// Over all ranks, every element of every dataset must have been written exactly once.
  void commit();

 private:
  struct Progress {
    DatasetSpec spec;
    int64_t offset = 0;     ///< of the first byte in the file
    uint64_t checksum = 0;  ///< of what this rank wrote
    uint64_t written = 0;   ///< elements

    int64_t bytes() const;  ///< of the whole dataset
  };

  template <typename Step>
  void attempt(Step step);
  template <typename Step>
  void together(Step step);
  void lay_out(const CheckpointHeader& header);
  void take_room();
  void check_slice(const DatasetSlice& slice) const;
  void finish_checksums();
  void write_layout();
  void discard();

  std::string file_;
  Writers writers_;
  std::string partial_;                       ///< with the process id of rank 0 in its name
  std::map<std::string, Progress> progress_;  ///< by path; the same keys on every rank
  std::optional<ByteFile> layout_bytes_;      ///< rank 0: what is not values
  std::optional<Hdf5File> layout_;            ///< rank 0: the same, open
  std::optional<ValueFile> values_;           ///< the partial file
  std::string error_;                         ///< this rank's first
};

/// A whole checkpoint at once: `all` is the same on every rank, `mine` are the slices that this
/// rank owns; over the writers they cover every dataset exactly once. Collective.
void save_checkpoint(const std::string& file, const CheckpointHeader& header,
                     const std::vector<DatasetSpec>& all, const std::vector<DatasetSlice>& mine,
                     Writers writers);

}  // namespace rondo
