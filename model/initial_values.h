// The start of a training run from nothing.
#pragma once

#include <cstdint>

#include "model/component_store.h"
#include "model/definition/model_definition.h"

namespace rondo {

/// One parameter, in double precision on the host, drawn from (seed, its path): every holder of a
/// component draws the same numbers whatever else it holds. Linears and the embedding are normal
/// with deviation 0.02; the two projections that write into the stream are divided by √(2·depth)
/// with the executed depth (GPT-2); adapters' A is normal with deviation 1/√in, B and vectors
/// are zero; gains are one.
torch::Tensor initial_value(const ParameterSpec& spec, const ModelDefinition& model, uint64_t seed);

/// All parameters that `store` holds.
void draw_initial_values(ComponentStore& store, const ModelDefinition& model, uint64_t seed);

}  // namespace rondo
