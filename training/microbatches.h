// Tokens of a corpus as the pipeline takes them.
#pragma once

#include <ATen/core/Tensor.h>

#include "data/dataset/batches.h"
#include "distributed/pipeline.h"

namespace rondo {

/// Token ids of some samples from a position in the data on.
struct SampleRange {
  int64_t position = 0;     ///< samples that were read before
  int64_t first = 0;        ///< sample after the position
  int64_t stride = 1;       ///< samples from the beginning of a microbatch to that of the next
  int64_t end = 0;          ///< of the samples: a last microbatch may be a short one
  int64_t micro_batch = 1;  ///< samples of a microbatch
  int64_t sequence = 1;     ///< tokens of a sample
};

/// Microbatch i holds the samples first + i·stride … of `range`. `source` must outlive it.
MicrobatchSource microbatches_of(const SampleSource& source, const SampleRange& range,
                                 at::Device device);

/// The same microbatches from number `first` on. `source` must outlive it.
MicrobatchSource microbatches_from(const MicrobatchSource& source, int first);

}  // namespace rondo
