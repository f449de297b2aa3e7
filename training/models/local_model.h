// One process' part of the model: the weights that the plan gives it, their reduction, and the
// pipelines that run on them.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <vector>

#include "distributed/comm/world.h"
#include "distributed/pipeline.h"
#include "distributed/plan/plan.h"
#include "distributed/sharded_optimizer.h"
#include "model/component_store.h"
#include "model/definition/model_definition.h"

namespace rondo {

struct LocalModelOptions {
  Precision precision;
  int64_t sequence = 0;
  bool recompute = false;
  int zero = 0;
  at::Device device = at::kCPU;
  Teach teach = {};  ///< on the ranks of the last chunk
  HalfBuilders builders = built_in_halves();
};

class LocalModel {
 public:
  /// Weights are zero until they are drawn or loaded. Collective. Throws std::runtime_error where
  /// another rank has another plan.
  LocalModel(const Plan& plan, const LocalModelOptions& options, World world);

  const ModelDefinition& model() const { return whole_.model; }
  at::Device device() const { return store_.device(); }
  Precision precision() const { return store_.precision(); }
  ComponentStore& store() { return store_; }
  ShardedOptimizer& optimizer() { return optimizer_; }

  /// Of the whole model, in one order on every rank.
  const std::vector<ParameterSpec>& parameters() const { return parameters_; }

  /// Where this rank stands among the ranks.
  const WorldLayout& layout() const { return layout_; }
  int replica() const { return layout_.replica(world_rank_); }

  /// How a step runs.
  struct TrainOptions {
    double gradient_scale = 1.0;
    StepShape shape = {};
    bool timed = false;
  };
  /// Forward and backward of a step's microbatches; starts the sums. See Pipeline::run. Collective
  /// over this replica's ranks.
  Pipeline::Run train(const MicrobatchSource& source, const TrainOptions& options);

  /// What a step of `shape` executes.
  const StepPlan& step(const StepShape& shape) { return engine(shape).step; }

  /// Loss summed over the target tokens of `count` microbatches, on the rank of the last chunk; 0
  /// on the others. Collective over this replica's ranks.
  double evaluate(const MicrobatchSource& source, int count);

  /// The stage with the head; null on the other ranks.
  const Stage* head_stage() { return engine({}).pipeline->head_stage(); }

  /// In place: the sum over this replica's ranks. `values` lie on the model's device. Collective.
  void sum_over_pipeline(const at::Tensor& values);

  /// Bytes that this rank has sent so far.
  SentBytes traffic() const;

  /// Starts from the numbers that `seed` draws. Collective.
  void draw(uint64_t seed);

  /// Throws std::runtime_error where two uses of a component have come apart, on this rank or
  /// between the members of a group. Collective.
  void check_whole();

 private:
  /// The engine for one shape of a step, over the same weights.
  struct Engine {
    StepPlan step;
    std::unique_ptr<Pipeline> pipeline;
  };
  Engine& engine(const StepShape& shape);
  const RankProgram& own(const Program& program) const;
  const RankProgram& forward_program(int microbatches);

  LocalModelOptions options_;
  StepPlan whole_;  ///< of the whole depth
  int world_rank_;
  WorldLayout layout_;
  std::vector<ParameterSpec> parameters_;
  std::unique_ptr<Communicator> pipeline_ranks_;
  ComponentStore store_;
  ShardedOptimizer optimizer_;
  std::map<StepShape, Engine> engines_;
  std::map<int, RankProgram> forward_programs_;  ///< of this rank, by number of microbatches
};

}  // namespace rondo
