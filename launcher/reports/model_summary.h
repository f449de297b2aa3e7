// What a person wants to see of a model before anything runs.
#pragma once

#include <string>

#include "model/definition/model_definition.h"

namespace rondo {

/// The map as a picture, parameters stored and parameters executed, FLOPs per token.
std::string summary(const ModelDefinition& model, int64_t sequence);

}  // namespace rondo
