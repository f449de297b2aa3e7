// The loss on what a run holds out.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "training/config.h"
#include "training/models/local_model.h"
#include "training/start/corpora.h"

namespace rondo {

struct HeldOutLoss {
  double mean = 0.0;  ///< of a blend by its weights, of several sets plainly
  std::vector<std::pair<std::string, double>> each = {};  ///< by name, where there are several
};

/// How many samples of each held-out corpus an evaluation takes: `train.eval_batches` of a blend
/// together, and of each set of `data.validation_path`.
std::vector<int64_t> samples_to_measure(const Config& config, const Corpora& corpora);

/// Nothing where a rank says to `stop` meanwhile. Collective.
std::optional<HeldOutLoss> measure_held_out(const Config& config, const Corpora& corpora,
                                            LocalModel& model, World world,
                                            const std::function<bool()>& stop);

}  // namespace rondo
