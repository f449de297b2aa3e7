// Where a run begins: from nothing, from another run's weights, or where it stopped.
#pragma once

#include <optional>
#include <string>

#include "launcher/config.h"
#include "model/model_definition.h"

namespace rondo {

struct Start {
  ModelDefinition model;
  std::string file;     ///< checkpoint to load; empty = draw initial values
  bool resume = false;  ///< whether optimizer state, step and tokens go on too
};

/// Where checkpoints go: `checkpoint.dir`, or checkpoints/ in the run folder.
std::string checkpoint_dir(const Config& config);

/// `checkpoint.resume` = "auto" takes the newest checkpoint of the folder, if there is one; it must
/// hold the model that `config` describes. Otherwise `train.init`, whose model and map then stand,
/// or a fresh start. Throws UserError.
Start choose_start(const Config& config);

/// The model that the config's own keys describe. Throws UserError.
ModelDefinition define_model(const Config& config);

}  // namespace rondo
