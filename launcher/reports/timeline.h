// A step of the pipeline as a picture, and as a trace for a viewer.
#pragma once

#include <string>
#include <vector>

#include "distributed/plan/placement.h"
#include "distributed/plan/schedule/simulate.h"

namespace rondo {

/// What happened on each pipeline rank, simulated or measured.
struct Timeline {
  Placement placement = {};
  std::vector<std::vector<TimedAction>> ranks = {};
  double update_s = 0.0;  ///< optimizer, after the last action
  std::string title = {};

  double pipeline_s() const;  ///< end of the last action
};

/// One row per rank, a colour per pass; forward light, backward dark, sums in a strip below.
std::string timeline_svg(const Timeline& timeline);

/// Trace events as Chrome and Perfetto read them: a process per rank, with its computations, its
/// sums and its messages.
std::string timeline_trace(const Timeline& timeline);

}  // namespace rondo
