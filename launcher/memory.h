// Whether a run fits, before anything is allocated.
#pragma once

#include <cstdint>

#include "launcher/config.h"
#include "model/model_definition.h"

namespace rondo {

/// What a rank keeps of a model for the whole run, in bytes. Doubles, since absurd sizes are what
/// it is asked about.
struct MemoryNeed {
  double weights = 0;
  double gradients = 0;
  double optimizer = 0;  ///< two moments, and weights of the master type where they are others

  double total() const { return weights + gradients + optimizer; }
};

/// At least: activations, batches and copies of a component on several pipeline ranks come on top.
MemoryNeed memory_need(const Config& config, const ModelDefinition& model, int world_size);

/// Throws UserError where `need`, that of one rank, is more than its share of `physical` bytes,
/// with so many ranks on this machine.
void check_fits(const MemoryNeed& need, double physical, int ranks);

/// Bytes of this machine's memory.
double physical_memory();

}  // namespace rondo
