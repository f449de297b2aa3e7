// A local model from a checkpoint and into one.
#pragma once

#include <string>

#include "checkpoint/format/background_save.h"
#include "checkpoint/format/checkpoint_reader.h"
#include "training/models/local_model.h"

namespace rondo {

struct LoadOptions {
  bool optimizer = true;  ///< with what AdamW knows of the weights
  bool verify = true;     ///< compare the checksums of all that is read
};

/// Reads the weights. Each byte of the file is read once, but for what replicas hold alike.
/// Collective over `host`, all ranks. Throws AgreedError; another load may follow.
void load(LocalModel& model, const CheckpointReader& reader, const LoadOptions& options,
          Communicator& host);

/// Everything that `load` reads, as views of this rank's part of the model; proves first that the
/// replicas are equal and the ties hold. Collective.
Save snapshot(LocalModel& model, const std::string& file, const CheckpointHeader& header);

}  // namespace rondo
