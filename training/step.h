// One step: gradients of the global batch, their norm, one update.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "data/dataset/batches.h"
#include "distributed/phase_clock.h"
#include "model/definition/recurrence.h"
#include "training/config.h"
#include "training/control/batch_schedule.h"
#include "training/models/local_model.h"
#include "training/pass_schedule.h"

namespace rondo {

/// What all ranks know of a step.
struct StepResult {
  double loss = 0.0;        ///< mean nats per target token of the global batch
  double divergence = 0.0;  ///< from the teacher, in the same mean
  double norm = 0.0;        ///< of the gradient, before clipping
  double lr = 0.0;          ///< 0 where nothing was updated
  /// Of the gradient, by component; only now and then.
  std::vector<std::pair<Component, double>> component_norms = {};
  bool updated = false;  ///< not where loss or norm is not finite: the weights stay as they are

  // Of this rank alone.
  std::vector<TimedAction> timeline = {};  ///< of log.trace_step
  double update_s = 0.0;                   ///< norm, clipping, optimizer
  PhaseSeconds phases = {};
};

class StepRunner {
 public:
  /// All references must outlive this. The config says how large a microbatch is.
  StepRunner(const Config& config, const SampleSource& samples, LocalModel& model);

  /// Trains on the global batch that begins after so many samples. Collective.
  StepResult run(int64_t step, int64_t position);

  /// The rows of this replica of the global batch of `step` that begins after so many samples.
  MicrobatchSource batch_at(int64_t step, int64_t position) const;

  /// Sequences that the step takes.
  const BatchSchedule& batches() const { return batches_; }

  /// Of each replica.
  int microbatches(int64_t step) const;

  /// Whether the step tells more of itself than others do.
  bool reports(int64_t step) const {
    return step == 1 || step == config_.train.steps || step % config_.log.every == 0;
  }

  /// What the step leaves out of the whole one: passes, microbatches.
  StepShape shape_of(int64_t step) const;

  /// Whether every step makes all passes, with gradients through them.
  bool always_whole() const { return !passes_.varies() && config_.train.backprop_passes == 0; }

 private:
  double tokens_of(int64_t step) const;

  const Config& config_;
  const SampleSource& samples_;
  LocalModel& model_;
  PassSchedule passes_;
  std::optional<Recurrence> recurrence_;
  BatchSchedule batches_;
};

}  // namespace rondo
