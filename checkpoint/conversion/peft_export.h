// The low-rank terms of a relaxed model as a PEFT adapter (github.com/huggingface/peft, LoRA).
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "checkpoint/conversion/untied_model.h"
#include "checkpoint/huggingface/safetensors_writer.h"

namespace rondo {

/// The tensors of adapter_model.safetensors, layer by layer: A [r, in] and B [out, r] of every
/// module, where r of a module that stacks our q, k and v is the sum of theirs: its A is theirs
/// above each other, its B theirs side by side, each on its own rows. `model` is a checkpoint,
/// opened without its adapters.
std::vector<TensorToWrite> peft_tensors(const UntiedModel& model);

/// adapter_config.json: alpha is the rank, so that PEFT adds exactly B·A. `base` is the folder of
/// the model that the adapter belongs to.
std::string peft_config(const UntiedModel& model, const std::string& base);

}  // namespace rondo
