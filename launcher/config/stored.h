// A config beside the one that a checkpoint keeps.
#pragma once

#include <string>
#include <vector>

#include "launcher/config/compose.h"
#include "launcher/config/config.h"
#include "model/definition/model_definition.h"

namespace rondo {

/// A checkpoint's model.
struct StoredModel {
  std::string file;
  std::string config;  ///< TOML text that is kept with it
  ModelDefinition model = {};
};

/// After `train.init` the model of the checkpoint stands: puts it in place of the keys that
/// describe one. Throws UserError, with the place, for such a key that the user wrote (a group that
/// is there by default is nobody's wish) and that says otherwise, and where the rest of the config
/// does not go with the model.
void adopt_model(Config& config, const Resolved& resolved, const StoredModel& stored);

/// "train.steps 100 -> 200" for every key that a resumed run would take up and whose value in
/// `stored`, the TOML text of the checkpoint, is another one. The model and where things are
/// written do not count.
std::vector<std::string> changed_keys(const std::string& stored, const Config& config);

/// Throws UserError for values that differ from those in `stored`, the config text of the
/// checkpoint `file` of `step`, and can have no effect: the run is over, or nothing that they
/// decide comes after that step.
void check_changes_count(const Config& config, const std::string& stored, int64_t step,
                         const std::string& file);

/// A line when the rate of the first resumed step is another one than that by `stored`; else empty.
std::string rate_jump(const Config& config, const std::string& stored, int64_t step);

/// `train.init` of that text; empty where the text does not set it.
std::string init_in(const std::string& stored);

/// The keys of that text which decide what a run read: those of `data`, `train.seed` and
/// `train.global_batch`.
Config reading_in(const std::string& stored);

/// `data.sequence` of that text; its default value where the text does not set it.
int64_t sequence_in(const std::string& stored);

}  // namespace rondo
