// A polite end: SIGUSR1 (Slurm's warning before the limit) and SIGTERM ask the run to save and
// stop.
#pragma once

#include <csignal>

namespace rondo {

/// Holds both signals back from construction on, so that they can be asked for between two steps.
/// Construct before any thread starts: threads inherit the mask.
class StopSignals {
 public:
  StopSignals();

  /// Whether one has arrived since construction.
  bool requested();

 private:
  sigset_t signals_;
  bool requested_ = false;
};

}  // namespace rondo
