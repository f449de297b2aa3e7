// The one reduction: gradients of every group are summed, its weights updated, once.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "distributed/comm/world.h"
#include "distributed/ownership.h"
#include "distributed/plan/group.h"
#include "model/component_store.h"
#include "model/optimizer/adamw.h"

namespace rondo {

/// The flat buffers' layout for a store, one per group that holds `world_rank`. Every member of a
/// group computes the same layout.
std::vector<BufferPlan> buffer_plans(const std::vector<ComponentGroup>& groups, int world_rank);

/// A run of elements of one parameter tensor that this rank answers for.
struct OwnedSlice {
  ParameterSpec parameter;
  int64_t begin = 0;  ///< first element of the tensor, row-major
  /// [saved_begin, saved_end) of the tensor: the part of the run that this rank writes into a
  /// checkpoint, and no other rank does.
  int64_t saved_begin = 0;
  int64_t saved_end = 0;
  at::Tensor master;  ///< [n] views
  at::Tensor exp_avg;
  at::Tensor exp_avg_sq;
};

/// Reduction, optimizer and gather over the flat buffers of one process. Data-parallel replicas
/// and tied copies are both just members of a group. With zero = 1 the sum is a reduce-scatter,
/// each member keeps the master weights and optimizer state of one shard, and a gather returns the
/// updated weights; with zero = 0 every member updates the whole buffer. Groups of the same ranks
/// share a communicator. Sums and gathers run behind the caller's back until somebody needs them.
class ShardedOptimizer {
 public:
  /// `store` was built from `buffer_plans(groups, world.rank())` and must outlive this. Collective.
  ShardedOptimizer(ComponentStore& store, const std::vector<ComponentGroup>& groups, World world,
                   int zero);

  void clear_gradients();

  /// Starts the sum of the gradients of `group`, an index into the constructor's list; does nothing
  /// on a rank that is no member. All ranks must start sums in one order. The gradients are final,
  /// and may not be touched from now on.
  void start_reduce(int group);

  /// Whether no sum of that group is under way.
  bool sum_done(int group);

  /// Starts the sums of all groups.
  void reduce();

  /// Norm of the reduced gradient over the whole model, each component once. The numbers `beside`,
  /// as many on every rank, are summed over the ranks in the same message. Collective; the same
  /// bits on every rank.
  double gradient_norm(std::span<double> beside = {});

  /// The norm of every component's part of the reduced gradient, in the model's order. Collective.
  std::vector<std::pair<Component, double>> component_norms(
      const std::vector<Component>& all) const;

  /// Of this rank's shards, the component whose reduced gradient is not finite and that comes last
  /// in the model's order: backward reaches it first.
  std::optional<Component> not_finite() const;

  /// Multiplies the reduced gradient by `factor`, updates the weights and starts to bring them to
  /// all members. `step` counts from 1.
  void update(const AdamWOptions& options, double lr, int64_t step, double factor);

  /// Returns when the store has the current weights of `group`; does nothing on a rank that is no
  /// member.
  void wait_for_values(int group);
  /// The same for all groups.
  void wait_for_values();

  /// Takes the store's values as the master weights (after initialisation) …
  void adopt_values();
  /// … or the other way round (after the owned slices were loaded): starts to bring them to all
  /// members. Collective.
  void publish_values();

  /// What this rank writes into a checkpoint: together the ranks' slices cover every element of
  /// every parameter exactly once.
  std::vector<OwnedSlice> checkpoint_slices();
  /// What this rank needs of a checkpoint before it can go on.
  std::vector<OwnedSlice> needed_slices();

  /// Bytes that this rank has sent over all its groups so far.
  SentBytes traffic() const;

  /// Throws std::runtime_error that names the group if its members' weights differ in one bit.
  /// Collective.
  void check_replicas_equal();

 private:
  struct Member {
    int index;  ///< in the list of groups
    FlatBuffer* buffer;
    std::shared_ptr<Communicator> group;
    Ownership own;
    AdamWRun run;  ///< over `own.updated`
    std::unique_ptr<Pending> sum;
    std::unique_ptr<Pending> values;
  };

  Member make_member(int index, FlatBuffer& buffer, std::shared_ptr<Communicator> group) const;
  void wait_for_sums();
  std::vector<OwnedSlice> slices(Range Ownership::*range);

  World world_;
  bool sharded_;
  std::vector<std::shared_ptr<Communicator>> communicators_;  ///< of this rank, each once
  std::vector<Member> members_;
};

}  // namespace rondo
