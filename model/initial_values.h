// The start of a training run from nothing.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "model/component_store.h"
#include "model/definition/parameters.h"

namespace rondo {

/// One parameter as its specification says, in double precision on the host, drawn from (seed, its
/// path): every holder of a component draws the same numbers whatever else it holds.
at::Tensor initial_value(const ParameterSpec& spec, uint64_t seed);

/// All parameters that `store` holds.
void draw_initial_values(ComponentStore& store, uint64_t seed);

}  // namespace rondo
