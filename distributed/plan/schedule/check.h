// Proves that a lowered program does one step, whatever the timing.
#pragma once

#include <string>
#include <vector>

#include "distributed/plan/group.h"
#include "distributed/plan/placement.h"
#include "distributed/plan/schedule/action.h"

namespace rondo {

/// What a program has to achieve.
struct StepSpec {
  Placement placement = {};
  int microbatches = 1;
  std::vector<ComponentGroup> groups = {};
  std::vector<int> live_bounds = {};  ///< most activations per rank; empty: not bounded
};

/// Complaints, each one line; empty if the program is good. Proves:
/// every action runs on the rank of its chunk · each (chunk, microbatch) is computed forward once
/// and backward once, whole or in both halves, in that order · inputs are there: received, or
/// computed before on the same rank · every result that another rank needs is sent once, after it
/// exists, and nothing else is sent · sends pair with receives in order, for each two ranks · no
/// deadlock even if every call blocks until its peer makes the matching one · each reduce happens
/// once on each of its ranks, after the last gradient it sums, and in one order on all ranks ·
/// live activations stay within the bounds.
std::vector<std::string> check(const Program& program, const StepSpec& step);

}  // namespace rondo
