// A checkpoint's whole model in this process, to be asked and not to be trained.
#pragma once

#include <torch/torch.h>

#include <memory>

#include "checkpoint/format/checkpoint_reader.h"
#include "launcher/config/config.h"
#include "model/stage.h"

namespace rondo {

class FrozenModel {
 public:
  /// Weights alone, without gradients. Throws UserError where the file does not hold its model, or
  /// the model learned fewer than `sequence` positions.
  FrozenModel(const CheckpointReader& reader, Precision precision, int64_t sequence,
              torch::Device device);

  const ModelSpec& spec() const { return spec_; }
  const Stage& stage() const { return stage_; }

 private:
  ModelSpec spec_;
  ComponentStore store_;
  Stage stage_;
};

/// Throws UserError where `train.distill` names no model that could teach one of `student`'s
/// vocabulary. Returns the number of the teacher's parameters, 0 without one.
int64_t check_teacher(const Config& config, const ModelSpec& student);

/// What the model of `train.distill` says of each microbatch; null without one.
Teach load_teacher(const Config& config, torch::Device device);

/// Forward floating-point operations that the teacher adds to each token; 0 without one.
double teacher_flops_per_token(const Config& config);

}  // namespace rondo
