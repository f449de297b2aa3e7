// When a run saves, and what becomes of it.
#pragma once

#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <system_error>

#include "base/user_error.h"
#include "checkpoint/format/background_save.h"
#include "distributed/comm/world.h"
#include "training/config.h"
#include "training/time_left.h"

namespace rondo {

/// The saves of one run: after every `checkpoint.every`-th step, after the last one and when the
/// run is asked to stop; with `checkpoint.keep_best` after an evaluation with the lowest loss so
/// far, whose file stays as best.h5. In the background where the training goes on. Files that have
/// served are pruned after each. All calls but `due` and `ended` are collective and throw
/// AgreedRunError where a save failed that the run cannot do without (see `checkpoint.on_error`),
/// and where the model is not finite: such a model is never saved.
class Saver {
 public:
  /// `folder` is where the files go; `tell` takes a line for each save.
  Saver(const CheckpointConfig& config, std::string folder, int64_t last_step, World world,
        std::function<void(const std::string&)> tell);

  /// Goes on from the best file of the folder, if it is of `step` or before. Collective.
  void resume_best(int64_t step);

  bool due(int64_t step, bool stopping, std::optional<double> validation_loss = {}) const;

  /// Whether the save under way is over on this rank; `finish` once it is on every rank.
  bool ended() const { return saves_.ended(); }

  /// Waits for the save under way and tells what became of it.
  void finish();

  /// `stopping`: nothing is computed after it.
  void save(const Save& save, bool stopping);

  /// The run comes apart: waits for the save under way, then throws AgreedRunError with `what` and
  /// the checkpoint that is left.
  void give_up(const std::string& what);

 private:
  std::optional<Saved> finish_together();
  bool is_best(std::optional<double> validation_loss) const;
  void clear_up(int64_t step);
  void tell_saved(const Saved& saved) const;
  void tell_failed(const UserError& error, bool last) const;
  void check_finite(const Save& save);

  CheckpointConfig config_;
  std::string folder_;
  Occasion occasion_;
  World world_;
  std::function<void(const std::string&)> tell_;
  double best_loss_ = std::numeric_limits<double>::infinity();
  int64_t best_step_ = 0;            ///< whose file becomes best.h5 when it is complete
  std::error_code best_error_ = {};  ///< why it did not; written before its save is finished
  BackgroundSave saves_;
};

}  // namespace rondo
