// The training loop.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "launcher/config/config.h"
#include "launcher/reports/metrics.h"
#include "launcher/reports/run_log.h"
#include "training/corpora.h"
#include "training/machine/ranks.h"
#include "training/machine/stop_signals.h"
#include "training/pass_schedule.h"
#include "training/replica.h"
#include "training/start.h"

namespace rondo {

/// Mean nats per target token over the first `samples` samples of `source`, computed by all ranks
/// together. Collective.
double evaluate(Replica& replica, const SampleSource& source, int64_t samples, const Config& config,
                World world);

/// The plan of `model` on so many ranks; the same on every rank. Throws UserError.
Plan plan_for(const Config& config, const ModelDefinition& model, int world_size);

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
  Trainer(const Config& config, const ModelDefinition& model, const Plan& plan, Corpora corpora,
          Ranks& ranks, StopSignals& signals);

  /// Loads or draws what `start`, of this model, says. Collective. Throws AgreedError where the
  /// file is damaged; another file to resume may follow.
  void begin(const Start& start);

  /// Trains to `train.steps`, or until a signal asks to stop; saves. Collective.
  TrainResult run();

 private:
  StepMetrics train_step(int64_t step);
  Pipeline::Run forward_backward(int64_t step, const StepDepth& depth);
  StepDepth depth_of(int64_t step) const;
  void write_trace(RunLog* log);
  void compare_with_plan(RunLog* log) const;
  Save snapshot(int64_t step);
  void save(int64_t step, RunLog* log);
  void settle(const std::function<std::optional<Saved>()>& save, bool last, RunLog* log);
  void measure_held_out(StepMetrics& metrics);
  void say(RunLog* log, const std::string& line) const;
  bool evaluates_after(int64_t step) const;
  bool saves_after(int64_t step) const;
  double mfu(const StepMetrics& metrics) const;

  Config config_;
  Plan plan_;
  PassSchedule passes_;
  std::optional<StoredTokenizer> tokenizer_;
  std::map<std::string, std::string> hf_files_;
  std::optional<Recurrence> recurrence_;
  World world_;
  StopSignals& signals_;
  Corpora corpora_;
  Replica replica_;
  std::string loaded_ = {};  ///< which file, and how long that took
  int64_t done_steps_ = 0;
  int64_t tokens_ = 0;
  int64_t samples_ = 0;
  bool stopping_ = false;
  bool save_ended_ = false;  ///< on every rank
  BackgroundSave saves_;
  std::vector<TimedAction> timeline_;  ///< of log.trace_step, on this rank
  double update_s_ = 0.0;              ///< of the last step: norm, clipping, optimizer
  std::vector<double> step_seconds_;
};

}  // namespace rondo
