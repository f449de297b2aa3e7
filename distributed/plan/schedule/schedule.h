// In which order each rank runs its chunks and microbatches.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "distributed/plan/placement.h"
#include "distributed/plan/schedule/action.h"

namespace rondo {

/// gpipe: all forwards, then all backwards (arXiv 1811.06965; breadth first over passes, arXiv
/// 2211.05953). one_forward_one_backward: a forward waits until a backward made room, with at most
/// as many activations as the pipeline has chunks (arXiv 2006.09503). interleaved: the same with
/// room for one more activation per hop to the last chunk, which hides the way back (arXiv
/// 2104.04473). zero_bubble: backward in two halves; weight gradients fill the gaps (arXiv
/// 2401.10241). given: somebody wrote the order down.
enum class ScheduleKind { gpipe, one_forward_one_backward, interleaved, zero_bubble, given };

/// "gpipe", "1f1b", "interleaved", "zero_bubble", "given". Throws UserError.
ScheduleKind parse_schedule(const std::string& name);
std::string schedule_name(ScheduleKind kind);

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

/// Computations only; `lower` adds the communication. Deterministic. One list
/// scheduler makes every kind on every route, within `live_bounds`. A given order is returned as it
/// is.
Program generate(const ScheduleOptions& options, const Placement& placement);

/// Most activations, one per (chunk, microbatch), that each rank holds at any time: from the start
/// of a forward to the end of its weight gradient. Empty where the order is given.
std::vector<int> live_bounds(const ScheduleOptions& options, const Placement& placement);

}  // namespace rondo
