// Whether a run fits, before anything is allocated.
#pragma once

#include <cstdint>

#include "model/definition/model_definition.h"
#include "training/config.h"

namespace rondo {

/// What a rank keeps of a model for the whole run, in bytes. Doubles, since absurd sizes are what
/// it is asked about.
struct MemoryNeed {
  double weights = 0;
  double gradients = 0;
  double optimizer = 0;  ///< two moments, and weights of the master type where they are others
  double teacher = 0;    ///< weights of train.distill
  double copy = 0;       ///< what a save in the background writes from

  double total() const { return weights + gradients + optimizer + teacher + copy; }
};

/// At least: activations, batches and copies of a component on several pipeline ranks come on top.
/// `teacher` is the number of its parameters.
MemoryNeed memory_need(const Config& config, const ModelDefinition& model, int world_size,
                       double teacher = 0.0);

/// Throws UserError where `need`, that of one rank, is more than its share of `physical` bytes,
/// with so many ranks on this machine.
void check_fits(const MemoryNeed& need, double physical, int ranks);

/// The same of the bytes that a plan gives the rank that holds most, activations included.
void check_plan_fits(double planned, double physical, int ranks);

/// Bytes of this machine's memory.
double physical_memory();

}  // namespace rondo
