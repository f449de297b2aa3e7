// One process' share of the model: the weights that the plan gives it, their reduction, and the
// pipeline that runs on them.
#pragma once

#include <torch/torch.h>

#include <map>
#include <memory>
#include <vector>

#include "checkpoint/format/background_save.h"
#include "checkpoint/format/checkpoint.h"
#include "checkpoint/format/checkpoint_reader.h"
#include "distributed/comm/world.h"
#include "distributed/pipeline.h"
#include "distributed/plan/depth.h"
#include "distributed/plan/plan.h"
#include "distributed/replica_buffers.h"
#include "model/component_store.h"
#include "model/definition/model_definition.h"

namespace rondo {

struct ReplicaOptions {
  Precision precision;
  int64_t sequence = 0;
  bool recompute = false;
  int zero = 0;
  torch::Device device = torch::kCPU;
  Teach teach = {};  ///< on the ranks of the last chunk
};

class Replica {
 public:
  /// Weights are zero until they are drawn or loaded. Collective. Throws std::runtime_error where
  /// another rank has another plan.
  Replica(const ModelDefinition& model, const Plan& plan, const ReplicaOptions& options,
          World world);

  const ModelDefinition& model() const { return model_; }
  torch::Device device() const { return store_.device(); }
  ReplicaBuffers& buffers() { return buffers_; }

  /// Where this rank stands among the ranks.
  const WorldLayout& layout() const { return layout_; }
  int index() const { return layout_.replica(world_rank_); }

  /// How a step runs.
  struct TrainOptions {
    double gradient_scale = 1.0;
    StepDepth depth = {};  ///< of passes 0: the whole depth
    bool timed = false;
  };
  /// Forward and backward of a step's microbatches; starts the sums. See Pipeline::run. Collective
  /// over this replica's ranks.
  Pipeline::Run train(const MicrobatchSource& source, const TrainOptions& options);

  /// Of a step of `depth`.
  const Placement& placement(const StepDepth& depth) { return engine(depth).step.placement; }

  /// Layers that a step of `depth` executes, as a share of all.
  double executed_share(const StepDepth& depth) const;

  /// Loss summed over the target tokens of `count` microbatches, on the rank of the last chunk; 0
  /// on the others. Collective over this replica's ranks.
  double evaluate(const MicrobatchSource& source, int count);

  /// Bytes that this rank has sent so far.
  Communicator::Traffic traffic() const;

  /// Starts from the numbers that `seed` draws. Collective.
  void draw(uint64_t seed);

  struct LoadOptions {
    bool optimizer = true;  ///< with what AdamW knows of the weights
    bool verify = true;     ///< compare the checksums of all that is read
  };
  /// Reads the weights. Each byte of the file is read once, but for what replicas hold alike.
  /// Collective over `host`, all ranks. Throws AgreedError; another load may follow.
  void load(const CheckpointReader& reader, const LoadOptions& options, Communicator& host);

  /// Everything that `load` reads, as views of this rank's share; proves first that the replicas
  /// are equal and the ties hold. Collective.
  Save snapshot(const std::string& file, const CheckpointHeader& header);

 private:
  /// The engine for one depth, over the same weights.
  struct Engine {
    StepPlan step;
    std::unique_ptr<Pipeline> pipeline;
  };
  Engine& engine(const StepDepth& depth);
  std::map<std::string, uint64_t> read(const CheckpointReader& reader, bool optimizer);
  const RankProgram& own(const Program& program) const;
  const RankProgram& forward_program(int microbatches);

  ModelDefinition model_;
  ReplicaOptions options_;
  Plan plan_;
  int world_rank_;
  WorldLayout layout_;
  std::vector<ParameterSpec> parameters_;
  std::unique_ptr<Communicator> pipeline_ranks_;
  ComponentStore store_;
  ReplicaBuffers buffers_;
  std::map<StepDepth, Engine> engines_;
  std::map<int, RankProgram> forward_programs_;  ///< of this rank, by number of microbatches
};

}  // namespace rondo
