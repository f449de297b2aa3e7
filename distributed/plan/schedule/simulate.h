// A clock per rank: how long a lowered program takes, what it holds and what it sends.
#pragma once

#include <cstdint>
#include <vector>

#include "distributed/plan/group.h"
#include "distributed/plan/placement.h"
#include "distributed/plan/schedule/action.h"
#include "distributed/plan/schedule/schedule.h"

namespace rondo {

struct LinkCost {
  double latency_s = 0.0;
  double bytes_per_s = 0.0;  ///< 0: bytes cost nothing

  /// Without the latency.
  double transfer_s(double bytes) const { return bytes_per_s > 0.0 ? bytes / bytes_per_s : 0.0; }
};

struct ReduceCost {
  double seconds = 0.0;
  int64_t sent_bytes = 0;  ///< by each rank that takes part
};

/// What brings a chunk its input, and takes the input's gradient back.
struct MessageCost {
  int64_t bytes = 0;
  double posting_s = 0.0;  ///< for which a send or a receive keeps its rank from computing
};

/// What the simulator prices with. Empty lists stand for the defaults of their elements.
struct StepCosts {
  std::vector<ChunkCost> chunks = {};
  std::vector<MessageCost> messages = {};  ///< by the chunk that they bring the input of
  std::vector<LinkCost> links = {};        ///< from rank a to rank b: [a · P + b]
  std::vector<ReduceCost> reduces = {};    ///< by group
  bool reduces_overlap = true;  ///< a rank goes on computing while it takes part in a sum
  /// When the weights of the last update have come back: all that a chunk reads, and all of a
  /// rank's. Empty: they never left.
  std::vector<double> chunk_ready_s = {};
  std::vector<double> rank_ready_s = {};
};

/// A computation or reduce: from its start to its end. A send: from when it was posted until the
/// message has arrived. A receive: from when it was posted until the message is there.
struct TimedAction {
  Action action = {};
  double start_s = 0.0;
  double end_s = 0.0;
};

struct Simulation {
  std::vector<std::vector<TimedAction>> timeline;  ///< per rank, in the order of its list
  double step_s = 0.0;                             ///< until the last rank has finished
  double bubble = 0.0;         ///< share of the ranks' step time in which they do not compute
  std::vector<int> peak_live;  ///< activations per rank, one per (chunk, microbatch)
  std::vector<int64_t> peak_live_bytes;        ///< per rank
  std::vector<int64_t> activation_sent_bytes;  ///< activations and their gradients, per rank
  std::vector<int64_t> reduce_sent_bytes;      ///< per rank
};

/// Sends and receives are posted at their place in the list and do not wait; a message travels once
/// both are posted and the link is free; a computation waits for its inputs. A sum starts when all
/// its pipeline ranks are there and have finished their earlier sums, and the gathers before them.
/// A chunk's first forward waits for its weights. The engine runs the same program by the same
/// rules. Throws std::logic_error if the program hangs: `check` it first.
Simulation simulate(const Program& program, const Placement& placement,
                    const std::vector<ComponentGroup>& groups, const StepCosts& costs);

}  // namespace rondo
