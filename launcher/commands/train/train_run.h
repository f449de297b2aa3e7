// One run of `rondo train`, from its words to its end.
#pragma once

#include <ctime>
#include <iosfwd>
#include <string>
#include <vector>

#include "distributed/comm/communicator.h"
#include "launcher/commands/train/train_words.h"
#include "launcher/config/compose.h"
#include "training/config.h"
#include "training/machine/stop_signals.h"
#include "training/start/corpora.h"
#include "training/start/start.h"
#include "training/trainer.h"

namespace rondo {

/// A run whose config stands.
struct PlannedRun {
  std::vector<std::string> overrides;
  Resolved resolved;
  Config config;
  std::vector<Fault> faults = {};  ///< of --chaos
  std::ostream* json = nullptr;    ///< of --json
};

/// `now` is the time that all ranks take for the start. Throws UserError.
PlannedRun plan_run(const TrainWords& words, const std::vector<std::string>& overrides,
                    int world_size, std::time_t now);

/// A run of which all that can be checked beforehand has been checked.
struct Run {
  Config config;
  std::vector<std::string> resumable;  ///< checkpoints, newest first, of which `start` is the first
  Start start;
  Plan plan;
  Corpora corpora;
  std::vector<Fault> faults = {};
  std::ostream* json = nullptr;
};

/// Collective. Throws AgreedError.
Run prepare_run(const PlannedRun& planned, Communicator& host);

/// Trains, and prints what the first rank has to say. Collective. Throws AgreedError,
/// AgreedRunError.
TrainResult train(Run run, Communicator& host, const StopSignals& signals);

}  // namespace rondo
