// The tokenizer that a checkpoint carries, so that a model can be spoken with wherever it goes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "checkpoint/format/checkpoint_reader.h"
#include "data/tokenizers/tokenizer.h"
#include "training/config.h"

namespace rondo {

struct OpenTokenizer {
  Tokenizer tokenizer;
  std::vector<int64_t> ends;  ///< the tokens that end a text
};

/// Of the checkpoint. Throws UserError where it carries none.
OpenTokenizer open_tokenizer_of(const CheckpointReader& reader);

/// Of a name like those of rondo prepare.
OpenTokenizer open_named_tokenizer(const std::string& name);

/// The tokenizer of the config's first data set, as a checkpoint keeps it; nothing where the data
/// do not say. Throws UserError where two of its data sets were made with different ones.
std::optional<StoredTokenizer> tokenizer_of_data(const Config& config);

}  // namespace rondo
