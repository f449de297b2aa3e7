// The training loop.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "training/config.h"
#include "training/control/chaos.h"
#include "training/control/spike_guard.h"
#include "training/control/stop_requests.h"
#include "training/machine/ranks.h"
#include "training/machine/stop_signals.h"
#include "training/models/local_model.h"
#include "training/models/stream_probe.h"
#include "training/run_report.h"
#include "training/saver.h"
#include "training/start/corpora.h"
#include "training/start/start.h"
#include "training/step.h"
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
  std::vector<Fault> faults = {};  ///< that a test asks for
};

/// How a run ended.
struct TrainResult {
  int64_t step = 0;
  std::optional<double> loss = {};  ///< of the last step; none when there was nothing left to do
  std::optional<double> validation_loss = {};
  std::string checkpoint = {};
  StopReason stopped = StopReason::none;  ///< why it ended before its last step
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

  /// Trains to `train.steps`, or until something asks to stop; saves. Collective. Throws
  /// AgreedRunError where a save failed that the run needs, and where a number is not finite.
  TrainResult run(const RunReport& report);

 private:
  StepMetrics measured_step(int64_t step, Saver& saver, const RunReport& report);
  bool stops() const { return stopping_ != StopReason::none; }
  void check_finite(const StepResult& done, int64_t step, Saver& saver, const RunReport& report);
  std::string describe_not_finite(const StepResult& done, int64_t step);
  void evaluate_after(StepMetrics& metrics, Saver& saver);
  void save(const StepMetrics& metrics, Saver& saver);
  void check_loss(int64_t step, Saver& saver);
  int64_t rewind(int64_t step, Saver& saver, const RunReport& report);
  std::vector<PassMetrics> look_at_passes(int64_t step);
  std::vector<RankMetrics> report_ranks(const SentBytes& sent, const RunReport& report);
  TimeLeft time_left();
  double mfu(const StepMetrics& metrics);
  CheckpointHeader header_after(const StepMetrics& metrics) const;
  void trace(const RunReport& report);
  void compare_with_plan(const RunReport& report) const;

  Config config_;
  std::string config_text_;
  Plan plan_;
  std::optional<StoredTokenizer> tokenizer_;
  std::map<std::string, std::string> hf_files_;
  World world_;
  Corpora corpora_;
  StreamProbe probe_ = {};
  Chaos chaos_;
  LocalModel model_;
  StepRunner steps_;
  StopRequests requests_;
  SpikeGuard spikes_;
  std::string loaded_ = {};  ///< which file, and how long that took
  int64_t done_steps_ = 0;
  int64_t tokens_ = 0;
  int64_t samples_ = 0;                     ///< of the position in the data
  StopReason stopping_ = StopReason::none;  ///< on every rank
  bool save_ended_ = false;                 ///< on every rank
  int64_t skipped_ = 0;                     ///< steps in a row that updated nothing
  int64_t rewinds_ = 0;
  Occasion evaluations_;
  StepResult last_ = {};      ///< of this rank
  PhaseSeconds window_ = {};  ///< of the steps that no report has told of yet, on this rank
  int64_t window_steps_ = 0;
  std::vector<double> step_seconds_;
};

}  // namespace rondo
