// Writes a Hugging Face model folder that transformers, vLLM and llama.cpp load as it is.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>

#include "checkpoint/conversion/untied_model.h"

namespace rondo {

/// Throws UserError unless DIR is new, or empty.
void check_new_folder(const std::string& dir);

struct HfExportOptions {
  at::ScalarType dtype = at::kFloat;
  int64_t shard_bytes = 5'000'000'000;  ///< the most that one file of tensors takes
  /// Also DIR/adapter, a PEFT folder of the low-rank terms; the model is then one that was opened
  /// without them, the base that all layers share.
  bool peft = false;
};

/// Of all tensors that the export writes.
int64_t exported_bytes(const UntiedModel& model, const HfExportOptions& options);

/// config.json, tensors and tokenizer in DIR, which must be new or empty; every layer by itself,
/// one tensor in memory at a time. `progress` hears of each: number and all. Throws UserError;
/// nothing is left of the folder then.
void export_hugging_face(const std::string& dir, const UntiedModel& model,
                         const HfExportOptions& options,
                         const std::function<void(int64_t, int64_t)>& progress);

}  // namespace rondo
