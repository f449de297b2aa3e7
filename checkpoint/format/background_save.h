// Saves while training goes on.
#pragma once

#include <ATen/core/Tensor.h>

#include <chrono>
#include <functional>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/format/checkpoint.h"
#include "checkpoint/format/writers.h"

namespace rondo {

/// Everything that `save_checkpoint` wants.
struct Save {
  std::string file = {};
  CheckpointHeader header = {};
  std::vector<DatasetSpec> all = {};    ///< the same on every rank
  std::vector<DatasetSlice> mine = {};  ///< that this rank owns
};

/// A file that stands under its name.
struct Saved {
  std::string file = {};
  double seconds = 0.0;  ///< from the call to the name
  double stall_s = 0.0;  ///< of these, for which the caller waited
};

/// Writes one checkpoint at a time from a copy in host memory, on a thread of its own. All calls
/// but `ended` are collective over the writers. A save that failed throws its UserError, the same
/// on every rank, in the next collective call, and only there.
class BackgroundSave {
 public:
  /// `behind`: run by the first writer after each save that succeeded, for what has to wait until
  /// the new file is complete.
  BackgroundSave(Writers writers, std::function<void(int64_t step)> behind);
  /// Waits for the save under way; what became of it is lost.
  ~BackgroundSave();
  BackgroundSave(const BackgroundSave&) = delete;
  BackgroundSave& operator=(const BackgroundSave&) = delete;

  /// Copies the values and returns; the caller may change them from then on. Waits for the save
  /// before this one, if it is still under way: the disk sets the pace, not the memory. `finish`
  /// that one first where its result is wanted.
  void start(const Save& save);

  /// The same without a copy: the values must stay as they are until `finish` is back.
  void start_in_place(const Save& save);

  bool under_way() const { return under_way_.valid(); }

  /// Whether `finish` would return at once with a result. Local: ranks see it at different times.
  bool ended() const;

  /// Waits for the save under way; none if there is none.
  std::optional<Saved> finish();

 private:
  using Clock = std::chrono::steady_clock;
  double write(const Save& save, Clock::time_point begin) const;

  Writers writers_;
  std::function<void(int64_t)> behind_;
  std::vector<at::Tensor> copies_;  ///< of the slices; kept from save to save
  std::future<Saved> under_way_;
};

}  // namespace rondo
