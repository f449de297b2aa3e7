// Where a run begins: from nothing, from another run's weights, or where it stopped.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/user_error.h"
#include "checkpoint/format/checkpoint.h"
#include "checkpoint/format/checkpoint_reader.h"
#include "distributed/comm/communicator.h"
#include "launcher/config/config.h"
#include "model/definition/model_definition.h"

namespace rondo {

struct Start {
  ModelDefinition model;
  std::string file = {};    ///< checkpoint to load; empty = draw initial values
  bool resume = false;      ///< whether optimizer state, step and tokens go on too
  int64_t step = 0;         ///< of the checkpoint
  std::string config = {};  ///< TOML text that is kept in the file
  std::optional<StoredTokenizer> tokenizer = {};     ///< that the model's tokens come from
  std::map<std::string, std::string> hf_files = {};  ///< see CheckpointHeader
};

/// Compares this rank's share of the checksums of what lies below `below`; the first rank says how
/// long it took. Throws UserError.
void verify(const CheckpointReader& reader, const std::string& below, const Communicator& host);

/// Where checkpoints go: `checkpoint.dir`, or checkpoints/ in the run folder.
std::string checkpoint_dir(const Config& config);

/// How many of the folder's newest checkpoints `checkpoint.resume` = "auto" passes over: `damaged`,
/// which are known to be, and those behind them that are cut off, lack something or hold it under
/// another name's step, each of which is named on stderr. Values are not read. Collective. Throws
/// AgreedError where none is left, and for one of a newer format.
int64_t count_damaged(const Config& config, int64_t damaged, Communicator& host);

/// The line that says so of one of them; of many ranks' errors one has text.
void say_passed_over(const UserError& error);

/// `checkpoint.resume` = "auto" takes the newest checkpoint of the folder behind `damaged` ones, if
/// there is one; it must hold the model that `config` describes. Otherwise `train.init`, whose
/// model and map then stand, or a fresh start. Throws UserError, also where the folder holds
/// checkpoints of later steps that the run would not go on from: they would be taken for its own.
Start choose_start(const Config& config, int64_t damaged);

/// Throws UserError, which names `file`, unless `stored`, its model, is the one that is wanted.
void check_same_model(const ModelDefinition& stored, const ModelDefinition& wanted,
                      const std::string& file);

/// The model that the config's own keys describe. Throws UserError.
ModelDefinition define_model(const Config& config);

}  // namespace rondo
