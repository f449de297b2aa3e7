// The training loop.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/definition/recurrence.h"
#include "training/config.h"
#include "training/machine/ranks.h"
#include "training/machine/stop_signals.h"
#include "training/models/local_model.h"
#include "training/pass_schedule.h"
#include "training/run_report.h"
#include "training/saver.h"
#include "training/start/corpora.h"
#include "training/start/start.h"
#include "training/time_left.h"

namespace rondo {

/// The plan of `model` on so many ranks; the same on every rank. Throws UserError.
Plan plan_for(const Config& config, const ModelDefinition& model, int world_size);

/// What a run trains, and on what.
struct RunSetup {
  Config config;
  std::string config_text;  ///< TOML, for its checkpoints
  ModelDefinition model;
  Plan plan;
  Corpora corpora;
};

/// How a run ended.
struct TrainResult {
  int64_t step = 0;
  std::optional<double> loss = {};  ///< of the last step; none when there was nothing left to do
  std::optional<double> validation_loss = {};
  std::string checkpoint = {};
  bool stopped = false;  ///< by a signal
};

class Trainer {
 public:
  /// Builds the model; writes nothing. Collective. Throws UserError.
  Trainer(RunSetup setup, Ranks& ranks, const StopSignals& signals);

  /// Loads or draws what `start`, of this model, says. Collective. Throws AgreedError where the
  /// file is damaged; another file to resume may follow.
  void begin(const Start& start);

  /// Steps that were done before this run.
  int64_t done_steps() const { return done_steps_; }

  /// Trains to `train.steps`, or until a signal asks to stop; saves. Collective. Throws AgreedError
  /// where a save failed that the run needs, AgreedRunError where a number is not finite.
  TrainResult run(const RunReport& report);

 private:
  struct Step;

  Step train_step(int64_t step);
  MicrobatchSource batch_at(int64_t position) const;
  StepPasses depth_of(int64_t step) const;
  StepMetrics measured_step(int64_t step, Saver& saver);
  void evaluate_after(StepMetrics& metrics, Saver& saver);
  std::optional<double> held_out_loss(StepMetrics& metrics);
  void save(int64_t step, const StepMetrics& metrics, Saver& saver);
  void check_loss(int64_t step, Saver& saver);
  TimeLeft time_left();
  double mfu(const StepMetrics& metrics);
  double tokens_per_step() const;
  CheckpointHeader header_after(int64_t step) const;
  void trace(const RunReport& report);
  void compare_with_plan(const RunReport& report) const;

  Config config_;
  std::string config_text_;
  Plan plan_;
  PassSchedule passes_;
  std::optional<Recurrence> recurrence_;
  std::optional<StoredTokenizer> tokenizer_;
  std::map<std::string, std::string> hf_files_;
  World world_;
  const StopSignals& signals_;
  Corpora corpora_;
  LocalModel model_;
  std::string loaded_ = {};  ///< which file, and how long that took
  int64_t done_steps_ = 0;
  int64_t tokens_ = 0;
  int64_t samples_ = 0;      ///< of the position in the data
  bool stopping_ = false;    ///< on every rank
  bool save_ended_ = false;  ///< on every rank
  Occasion evaluations_;
  std::vector<TimedAction> timeline_;  ///< of log.trace_step, on this rank
  double update_s_ = 0.0;              ///< of the last step: norm, clipping, optimizer
  std::vector<double> step_seconds_;
};

}  // namespace rondo
