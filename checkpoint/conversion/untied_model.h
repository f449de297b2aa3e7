// Any model as one whose layers share nothing: what a conversion starts from.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "checkpoint/format/checkpoint.h"
#include "model/definition/model_spec.h"
#include "model/definition/parameters.h"
#include "model/definition/sharing_map.h"

namespace rondo {

/// The tensor of one parameter, in its shape, on the CPU. Throws UserError.
using TensorSource = std::function<at::Tensor(const ParameterSpec&)>;

/// Sources take the parameters of the untied model, whose component ids are layers, and read them
/// when they are asked; nothing is kept in memory.
struct UntiedModel {
  std::string name = {};         ///< of the file or folder, for messages
  CheckpointHeader header = {};  ///< of the file: map and adapters are how it stores the layers
  TensorSource parameters = {};  ///< in the stored dtype; float64 where something was computed
  at::ScalarType dtype = at::kFloat;    ///< of a checkpoint's values
  TensorSource exp_avg = {};            ///< null without optimizer state
  TensorSource exp_avg_sq = {};         ///< likewise
  std::vector<std::string> notes = {};  ///< on what was passed over in reading
};

/// DIR with config.json and safetensors. Throws UserError, also for a tensor that the model of the
/// config.json does not use.
UntiedModel open_hugging_face(const std::string& dir);

/// What of a layer's own adapters is added to its component: none of it, its vectors (biases and
/// inner norms), or its low-rank terms too.
enum class OwnTerms : uint8_t { none, vectors, all };

/// FILE.h5. A layer is its component, and of its adapters `own`.
UntiedModel open_checkpoint(const std::string& file, OwnTerms own);

/// The same function with norms in front of attention and feed-forward that do nothing: their gains
/// are multiplied into the linears that read them, and what their biases add goes to the biases of
/// those.
UntiedModel with_folded_norms(UntiedModel model);

/// Whether the slot is a norm in front of a branch.
bool is_layer_norm(Slot slot);

/// `parameter`, of a slot's component, in another component of that slot.
ParameterSpec in_component(ParameterSpec parameter, int id);

/// What a layer's `parameter` is part of under `map`.
ParameterSpec in_map(const ParameterSpec& parameter, const SharingMap& map);

}  // namespace rondo
