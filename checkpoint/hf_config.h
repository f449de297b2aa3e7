// The config.json of a Hugging Face model.
#pragma once

#include <string>

#include "model/model_spec.h"

namespace rondo {

/// The model of DIR/config.json, model_type llama or mistral, as transformers 4 or 5 writes it.
/// Throws UserError, naming the key, for what rondo cannot represent: biases, a scaled, partial or
/// interleaved rotary embedding, another activation than silu, sliding windows.
ModelSpec read_hugging_face_config(const std::string& dir);

}  // namespace rondo
