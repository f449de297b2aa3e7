// The config.json of a Hugging Face model.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>

#include "model/definition/model_spec.h"

namespace rondo {

/// The model of DIR/config.json as transformers 4 or 5 writes it; model_type llama, mistral,
/// ministral, qwen2, qwen3, gemma, gpt_neox or gpt2. Throws UserError, naming the key, for what
/// rondo cannot represent: biases or activations that are not the family's, a scaled or interleaved
/// rotary embedding.
ModelSpec read_hugging_face_config(const std::string& dir);

/// Throws UserError for what no family of transformers has: norms, encodings and scales of passes,
/// and windows where the family slides none.
void check_exportable(const ModelSpec& model);

/// The text of a config.json that says the same, for tensors of `dtype`. `end` is the token that
/// ends a text, where that is known. What `origin`, the text of the folder that the model came
/// from, says besides is kept: more tokens of a meaning, the longest text. Throws UserError where
/// that is no JSON.
std::string hugging_face_config(const ModelSpec& model, at::ScalarType dtype,
                                std::optional<int64_t> end, const std::string& origin);

}  // namespace rondo
