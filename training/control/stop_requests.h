// Why a run ends before its last step.
#pragma once

#include <cstdint>
#include <string>

#include "training/config.h"
#include "training/machine/stop_signals.h"

namespace rondo {

enum class StopReason : uint8_t { none, signal, time, step };

/// "a signal", "train.exit_after = 2h", "train.exit_at_step = 50".
std::string describe(StopReason reason, const ControlConfig& control);

/// What one rank knows of reasons to stop. Signals may reach any rank; the clock of the first one
/// counts for all, and the step is known to all.
class StopRequests {
 public:
  StopRequests(const ControlConfig& control, const StopSignals& signals, bool has_clock)
      : control_(control), signals_(signals), has_clock_(has_clock) {}

  bool by_signal() const { return signals_.requested(); }

  /// Whether something that takes `seconds` would end after `train.exit_after`.
  bool by_time(double seconds) const {
    const bool limited = has_clock_ && control_.exit_after_s > 0;
    return limited && signals_.running_s() + seconds > static_cast<double>(control_.exit_after_s);
  }

  bool by_step(int64_t step) const { return step == control_.exit_at_step; }

 private:
  const ControlConfig& control_;
  const StopSignals& signals_;
  bool has_clock_;
};

}  // namespace rondo
