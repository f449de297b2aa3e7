// Writes a checkpoint so that its name appears only when it is complete.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/hdf5_file.h"
#include "checkpoint/writers.h"

namespace rondo {

/// Fills FILE.partial and renames it to FILE in `commit`. Whatever fails on whichever rank, every
/// rank throws the same UserError, FILE.partial is removed and a FILE of before stays as it was.
///
/// With `parallel` (and MPI running) the constructor and `commit` are collective over
/// MPI_COMM_WORLD with equal arguments, and every rank must reach `commit`.
class CheckpointWriter {
 public:
  /// Creates the folder of `file` where it is missing.
  CheckpointWriter(std::string file, const CheckpointHeader& header,
                   const std::vector<DatasetSpec>& datasets, bool parallel);
  /// Removes FILE.partial when `commit` was not reached.
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  /// Independent. Does not throw: `commit` reports what went wrong.
  void write(const DatasetSlice& slice);

  /// Over all ranks, every element of every dataset must have been written exactly once.
  void commit();

 private:
  struct Progress {
    DatasetSpec spec;
    uint64_t checksum = 0;
    uint64_t written = 0;
  };

  template <typename Step>
  void attempt(Step step);
  template <typename Step>
  void together(Step step);
  void write_header(const CheckpointHeader& header);
  void check_slice(const DatasetSlice& slice) const;
  void finish_checksums();
  void discard();

  std::string file_;
  std::string partial_;
  Writers writers_;
  std::map<std::string, Progress> progress_;  ///< by path; the same keys on every rank
  std::optional<Hdf5File> hdf5_;
  std::string error_;  ///< this rank's first
};

/// A whole checkpoint at once: `all` is the same on every rank, `mine` are the slices that this
/// rank owns; over the ranks they cover every dataset exactly once. Collective when `parallel`.
void save_checkpoint(const std::string& file, const CheckpointHeader& header,
                     const std::vector<DatasetSpec>& all, const std::vector<DatasetSlice>& mine,
                     bool parallel);

}  // namespace rondo
