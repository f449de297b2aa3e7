// One process' share of the model: the weights that the plan gives it, their reduction, and the
// pipeline that runs on them.
#pragma once

#include <torch/torch.h>

#include <map>
#include <memory>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/checkpoint_reader.h"
#include "distributed/comm/world.h"
#include "distributed/pipeline.h"
#include "distributed/plan/plan.h"
#include "distributed/replica_buffers.h"
#include "model/component_store.h"
#include "model/model_definition.h"

namespace rondo {

struct ReplicaOptions {
  Precision precision;
  int64_t sequence = 0;
  bool recompute = false;
  int zero = 0;
  torch::Device device = torch::kCPU;
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

  /// Forward and backward of a step's microbatches; starts the sums. See Pipeline::run. Collective
  /// over this replica's ranks.
  Pipeline::Run train(const MicrobatchSource& source, double gradient_scale, bool timed = false);

  /// Loss summed over the target tokens of `count` microbatches, on the rank of the last chunk; 0
  /// on the others. Collective over this replica's ranks.
  double evaluate(const MicrobatchSource& source, int count);

  /// Bytes that this rank has sent so far.
  Communicator::Traffic traffic() const;

  /// Starts from the numbers that `seed` draws. Collective.
  void draw(uint64_t seed);

  /// Reads the weights, and with `optimizer` what AdamW knows of them. Collective.
  void load(const CheckpointReader& reader, bool optimizer);

  /// Writes everything that `load` reads. Collective.
  void save(const std::string& file, const CheckpointHeader& header);

 private:
  const RankProgram& forward_program(int microbatches);

  ModelDefinition model_;
  Plan plan_;
  int world_rank_;
  WorldLayout layout_;
  std::vector<ParameterSpec> parameters_;
  std::unique_ptr<Communicator> pipeline_ranks_;
  ComponentStore store_;
  ReplicaBuffers buffers_;
  Pipeline pipeline_;
  std::map<int, RankProgram> forward_programs_;  ///< of this rank, by number of microbatches
};

}  // namespace rondo
