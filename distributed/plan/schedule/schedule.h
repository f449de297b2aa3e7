// In which order each rank runs its chunks and microbatches.
#pragma once

#include <cstdint>
#include <vector>

#include "distributed/plan/placement.h"
#include "distributed/plan/schedule/action.h"
#include "distributed/plan/schedule/schedule_kind.h"

namespace rondo {

/// Of one microbatch in one chunk.
struct ChunkCost {
  double forward_s = 1.0;
  double backward_input_s = 1.0;
  double backward_weight_s = 1.0;
  int64_t live_bytes = 0;  ///< what forward keeps until the weight gradient is done
};

struct ScheduleOptions {
  ScheduleKind kind = ScheduleKind::one_forward_one_backward;
  int microbatches = 1;
  std::vector<ChunkCost> chunks = {};  ///< empty: all chunks alike
  Program given = {};                  ///< computations only; for ScheduleKind::given
};

/// Computations only; `lower` adds the communication. Deterministic. One list scheduler makes every
/// kind on every route, within `live_bounds`. A given order is returned as it is.
Program generate(const ScheduleOptions& options, const Placement& placement);

/// Most activations, one per (chunk, microbatch), that each rank holds at any time: from the start
/// of a forward to the end of its weight gradient. Empty where the order is given.
std::vector<int> live_bounds(const ScheduleOptions& options, const Placement& placement);

}  // namespace rondo
