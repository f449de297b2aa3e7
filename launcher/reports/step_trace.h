// One step as it went, beside what the plan expected.
#pragma once

#include <string>
#include <vector>

#include "distributed/comm/communicator.h"
#include "launcher/reports/timeline.h"

namespace rondo {

/// The timelines of all ranks, in order, on rank 0; empty on the others. `mine` is this rank's.
/// Collective over the world.
std::vector<std::vector<TimedAction>> gather_timelines(const std::vector<TimedAction>& mine,
                                                       Communicator& world);

/// Writes <folder>/trace-<step>-<kind>.json (for Chrome or Perfetto) and the same as .svg; returns
/// the first. Throws UserError.
std::string write_step_trace(const std::string& folder, int64_t step, const std::string& kind,
                             Timeline timeline);

/// "predicted 12.3 ms a step, measured 13.1 (median of 40): 6 % off".
std::string compare_step_time(double predicted_s, std::vector<double> measured_s);

}  // namespace rondo
