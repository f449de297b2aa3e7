// Writes a Hugging Face model folder that transformers, vLLM and llama.cpp load as it is.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <string>

#include "checkpoint/untied_model.h"

namespace rondo {

/// Throws UserError unless DIR is new, or empty.
void check_new_folder(const std::string& dir);

/// config.json and model.safetensors in DIR, which must be new or empty; every layer by
/// itself, one tensor in memory at a time. `progress` hears of each tensor: number and all. Throws
/// UserError; nothing is left of the folder then.
void export_hugging_face(const std::string& dir, const UntiedModel& model, torch::Dtype dtype,
                         const std::function<void(int64_t, int64_t)>& progress);

}  // namespace rondo
