// Where a run begins: from nothing, from another run's weights, or where it stopped.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/user_error.h"
#include "checkpoint/format/checkpoint.h"
#include "checkpoint/format/checkpoint_reader.h"
#include "distributed/comm/communicator.h"
#include "model/definition/model_definition.h"
#include "training/config.h"

namespace rondo {

/// An open checkpoint, which a start reads once. HDF5 is for one thread at a time: none may stay
/// open while a save runs in the background.
using OpenCheckpoint = std::shared_ptr<const CheckpointReader>;

struct Start {
  ModelDefinition model;
  OpenCheckpoint reader = {};  ///< to load; null = draw initial values
  std::string file = {};       ///< its name
  bool resume = false;         ///< whether optimizer state, step and tokens go on too
  int64_t step = 0;            ///< of the checkpoint
  std::string config = {};     ///< TOML text that is kept in the file
  Config read_before = {};     ///< the keys of that text that say which samples were read
  std::optional<StoredTokenizer> tokenizer = {};     ///< that the model's tokens come from
  std::map<std::string, std::string> hf_files = {};  ///< see CheckpointHeader
};

/// Compares this rank's share of the checksums of what lies below `below`; the first rank says how
/// long it took. Throws UserError.
void verify(const CheckpointReader& reader, const std::string& below, const Communicator& host);

/// Where checkpoints go: `checkpoint.dir`, or checkpoints/ in the run folder.
std::string checkpoint_dir(const Config& config);

/// What `checkpoint.resume` = "auto" may go on from: the folder's checkpoints, newest first. With
/// another value none. Collective. Throws AgreedError where ranks see different files.
std::vector<std::string> files_to_resume(const Config& config, Communicator& host);

/// Opens the first of `files`, of the folder of `config`, that is whole and of the step that its
/// name says; those before it are dropped from the list and named on stderr. Values are not read.
/// Collective. Throws AgreedError where none is left, and for a file of a newer format.
OpenCheckpoint open_first_usable(std::vector<std::string>& files, const Config& config,
                                 Communicator& host);

/// The line that says so of one of them; of many ranks' errors one has text.
void say_passed_over(const UserError& error);

/// `newest`, that `checkpoint.resume` = "auto" found; it must hold the model that `config`
/// describes. Where it is null the file that `checkpoint.resume` names, or `train.init`, whose
/// model and map then stand, or a fresh start. Throws UserError, also where the folder holds
/// checkpoints of later steps that the run would not go on from: they would be taken for its own.
Start choose_start(const Config& config, const OpenCheckpoint& newest);

/// Throws UserError, which names `file`, unless `stored`, its model, is the one that is wanted.
void check_same_model(const ModelDefinition& stored, const ModelDefinition& wanted,
                      const std::string& file);

/// The model that the config's own keys describe. Throws UserError.
ModelDefinition define_model(const Config& config);

}  // namespace rondo
