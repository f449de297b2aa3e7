// One scheduler makes every kind of schedule on every route.
#pragma once

#include <vector>

#include "distributed/plan/placement.h"
#include "distributed/plan/schedule/action.h"
#include "distributed/plan/schedule/schedule.h"

namespace rondo {

/// What the scheduler obeys.
struct SchedulerRules {
  int microbatches = 1;
  int rounds = 1;      ///< microbatches go through a rank's chunks in rounds of nearly equal size
  bool split = false;  ///< backward in two halves
  bool in_order = false;   ///< a rank waits for what it prefers most; else it takes what is ready
  bool alternate = false;  ///< where both are ready, forwards and backwards take turns; else
                           ///< backwards come first
  std::vector<ChunkCost> chunks = {};  ///< empty: all chunks alike
  std::vector<int> live_bounds = {};   ///< most activations per rank
};

struct ListSchedule {
  Program program = {};  ///< computations only
  double end_s = 0.0;    ///< of the last of them
};

/// Each rank, as soon as it is free, takes the ready action that it prefers, as long as its live
/// activations stay within the bound and room remains for the oldest microbatches to finish, so
/// that no order can hang. What it takes to place one action grows with the ranks, and with the
/// microbatches or the chunks of a rank, whichever are fewer; not with the length of the schedule.
ListSchedule list_schedule(const SchedulerRules& rules, const Placement& placement);

}  // namespace rondo
