// A checkpoint's whole model in this process, to be asked and not to be trained.
#pragma once

#include <ATen/core/Tensor.h>

#include "checkpoint/format/checkpoint_reader.h"
#include "model/stage.h"

namespace rondo {

/// Throws UserError where the file's model learned fewer than `sequence` positions.
void check_positions(const CheckpointReader& reader, int64_t sequence);

class FrozenModel {
 public:
  /// Weights alone, without gradients. Throws UserError where the file does not hold its model, or
  /// the model learned fewer than `sequence` positions.
  FrozenModel(const CheckpointReader& reader, Precision precision, int64_t sequence,
              at::Device device);

  const ModelSpec& spec() const { return spec_; }
  const Stage& stage() const { return stage_; }

 private:
  ModelSpec spec_;
  ComponentStore store_;
  Stage stage_;
};

}  // namespace rondo
