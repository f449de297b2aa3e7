// The start of a training run from nothing.
#pragma once

#include <cstdint>

#include "model/component_store.h"
#include "model/model_definition.h"

namespace rondo {

/// Fills every parameter that `store` holds. Each tensor is drawn from (seed, its path), in double
/// precision on the host, so every holder of a component draws the same numbers whatever else it
/// holds. Linears and the embedding are normal with deviation 0.02; the two projections that write
/// into the stream are divided by √(2·depth) with the executed depth (GPT-2); adapters' A is normal
/// with deviation 1/√in and B zero; gains are one.
void draw_initial_values(ComponentStore& store, const ModelDefinition& model, uint64_t seed);

}  // namespace rondo
