// The loss of a model on tokens that it does not learn from.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "data/dataset/batches.h"
#include "distributed/comm/world.h"
#include "training/models/local_model.h"

namespace rondo {

/// What is measured: the first samples of a source, each once.
struct Evaluation {
  int64_t samples = 1;
  int64_t micro_batch = 1;  ///< samples per forward
  int64_t sequence = 1;     ///< tokens of a sample
  /// Called now and then with the samples that all ranks together have measured so far.
  std::function<void(int64_t samples)> show = {};
};

/// Mean nats per target token, computed by all ranks together. Between microbatches the ranks ask
/// each other whether to `stop`; where one says so, all leave with nothing. Collective.
std::optional<double> evaluate(LocalModel& model, const SampleSource& source,
                               const Evaluation& evaluation, World world,
                               const std::function<bool()>& stop = {});

}  // namespace rondo
