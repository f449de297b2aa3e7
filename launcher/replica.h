// One process' share of the model: weights, their reduction, and the layers that run on them.
#pragma once

#include <torch/torch.h>

#include <memory>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/checkpoint_reader.h"
#include "distributed/comm/world.h"
#include "distributed/replica_buffers.h"
#include "model/component_store.h"
#include "model/model_definition.h"
#include "model/stage.h"

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
  /// Weights are zero until they are drawn or loaded. Collective.
  Replica(const ModelDefinition& model, const ReplicaOptions& options, World world);

  const ModelDefinition& model() const { return model_; }
  torch::Device device() const { return store_.device(); }
  const Stage& stage() const { return stage_; }
  ReplicaBuffers& buffers() { return buffers_; }

  /// Starts from the numbers that `seed` draws. Collective.
  void draw(uint64_t seed);

  /// Reads the weights, and with `optimizer` what AdamW knows of them. Collective.
  void load(const CheckpointReader& reader, bool optimizer);

  /// Writes everything that `load` reads. Collective.
  void save(const std::string& file, const CheckpointHeader& header);

 private:
  ModelDefinition model_;
  std::vector<ParameterSpec> parameters_;
  std::vector<ReplicaGroup> groups_;
  ComponentStore store_;
  ReplicaBuffers buffers_;
  Stage stage_;
};

}  // namespace rondo
