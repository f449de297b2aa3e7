// What a step computes, sends and holds, and for how long: the planner's prices.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "distributed/plan/group.h"
#include "distributed/plan/placement.h"
#include "distributed/plan/schedule/simulate.h"
#include "model/definition/model_definition.h"

namespace rondo {

/// How much longer than the table's figures say a microbatch of so many sequences takes.
struct MeasuredSpeed {
  int64_t micro_batch = 1;
  double slowness = 1.0;
};

/// What one rank's device and its links reach.
struct Machine {
  int ranks_per_node = 1;
  double flops_per_s = 1e11;         ///< of a layer's matrix products
  double memory_bytes_per_s = 1e10;  ///< of everything else
  int64_t memory_bytes = 0;          ///< 0: not bounded
  LinkCost intra = {};               ///< within a node, one direction
  LinkCost inter = {};               ///< between a rank and one of another node
  double node_bytes_per_s = 0.0;     ///< all that a node sends to others; 0: no bound of its own
  bool reduces_overlap = true;       ///< a rank goes on computing while it takes part in a sum
  bool copies_messages = false;      ///< what computes also reads and writes every message
  /// By ascending size of a microbatch: small ones fill a device less. Empty: all are as fast.
  std::vector<MeasuredSpeed> speeds = {};

  /// The link between nodes for each of so many ranks of a node that send at the same time.
  LinkCost inter_shared_by(int64_t ranks) const;

  /// The figures for microbatches of this size: between two measured ones, by the logarithm.
  Machine at(int64_t micro_batch) const;
};

/// Forward and backward.
inline double seconds(const ChunkCost& cost) {
  return cost.forward_s + cost.backward_input_s + cost.backward_weight_s;
}

/// What one step of training works on.
struct Workload {
  ModelDefinition model = {};
  int64_t sequence = 1;
  int64_t micro_batch = 1;    ///< sequences; in a request 0: open
  int64_t compute_bytes = 4;  ///< of an element of weights in use and of activations
  int64_t master_bytes = 4;   ///< of an element of gradients, optimizer state and master weights
  bool recompute = false;     ///< keep only each layer's input and run it again in backward
  int zero = 0;
  double teacher_flops = 0;  ///< a token, of a teacher that runs beside the head
};

/// Bytes that all members of a group together send in a step.
struct GroupBytes {
  int64_t reduce = 0;
  int64_t gather = 0;
  bool operator==(const GroupBytes&) const = default;
};

/// What a placement costs, whatever its schedule.
struct PlacementCosts {
  std::vector<ComponentGroup> groups = {};
  std::vector<GroupBytes> group_bytes = {};  ///< by group
  StepCosts step = {};                       ///< what `simulate` prices with
  double update_s = 0.0;  ///< norm, clipping and AdamW on the rank that takes longest
  /// Weights, gradients and optimizer state, per pipeline rank.
  std::vector<int64_t> state_bytes = {};
};

class CostModel {
 public:
  /// For the microbatches of `workload`, at the speed that `machine` has for them.
  CostModel(const Workload& workload, const Machine& machine);

  const Workload& workload() const { return workload_; }
  const Machine& machine() const { return machine_; }
  const Uses& uses() const { return uses_; }

  /// One microbatch in one chunk. `split`: the weight gradients are deferred, so that recomputed
  /// activations have to stay until then.
  ChunkCost chunk(const Chunk& chunk, bool split) const;

  /// The same without embedding, final norm, head and loss.
  ChunkCost layers(HalfLayers halves, bool split) const;

  /// All of a placement's.
  std::vector<ChunkCost> chunks(const Placement& placement, bool split) const;

  /// Of what enters half number `half`, micro_batch·sequence rows, or of its gradient.
  int64_t message_bytes(int half) const;

  PlacementCosts placement(const Placement& placement, const WorldLayout& layout, bool split) const;

  /// Beyond `state_bytes`: what one layer needs while it is recomputed.
  int64_t workspace_bytes() const;

 private:
  /// Of one buffer on one of its members.
  struct Upkeep {
    int64_t elements = 0;
    int64_t state_bytes = 0;
    double update_s = 0.0;
  };
  void price_groups(const Placement& placement, PlacementCosts& result) const;
  void price_messages(const Placement& placement, const WorldLayout& layout,
                      StepCosts& costs) const;
  Upkeep upkeep(const ComponentGroup& group) const;
  /// A component's matrices.
  struct MatrixCount {
    int64_t matrices = 0;
    int64_t elements = 0;
  };
  ChunkCost half_cost(int half) const;
  /// Keys whose scores a query of the layer costs, times two.
  int64_t scored_tokens(int layer) const;
  /// Of the residual stream at either end of the model.
  int64_t stream_bytes() const;
  ChunkCost embedding() const;
  ChunkCost head() const;
  double touch_s(double bytes) const { return bytes / machine_.memory_bytes_per_s; }
  double tokens() const;
  Workload workload_;
  Machine machine_;
  std::map<Component, MatrixCount> matrices_;
  std::vector<ChunkCost> halves_;  ///< per half layer
  Uses uses_;
};

}  // namespace rondo
