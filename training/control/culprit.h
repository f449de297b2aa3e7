// Which part of a model first made a number that is not finite.
#pragma once

#include <string>

#include "distributed/comm/world.h"
#include "training/models/local_model.h"
#include "training/models/stream_probe.h"

namespace rondo {

/// After a step over the first `count` microbatches of `source` that came out not finite, and
/// updated nothing: "attention/1 in layer 5, on rank 2", of what runs forward first; else
/// "the gradient of attention/1", of what runs backward first. Empty where all of it is finite now.
/// Runs the microbatches forward again. Collective; the same on every rank.
std::string first_culprit(LocalModel& model, StreamProbe& probe, const MicrobatchSource& source,
                          int count, World world);

}  // namespace rondo
