#include "training/control/stop_requests.h"

#include <fmt/format.h>

#include "base/quantity.h"

namespace rondo {

std::string describe(StopReason reason, const ControlConfig& control) {
  switch (reason) {
    case StopReason::none:
      return "nothing";
    case StopReason::signal:
      return "a signal";
    case StopReason::time:
      return "train.exit_after = " + duration_text(control.exit_after_s);
    case StopReason::step:
      return fmt::format("train.exit_at_step = {}", control.exit_at_step);
  }
  return "";
}

}  // namespace rondo
