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

/// The tokenizer that a data set was made with, as a checkpoint keeps it; nothing where it does not
/// say.
std::optional<StoredTokenizer> tokenizer_of_data(const std::string& prefix);

/// That of all the config's data sets, held-out ones too. Throws UserError where two of them were
/// made with different ones.
std::optional<StoredTokenizer> tokenizer_of_data(const Config& config);

/// A warning where data were made with another tokenizer than `file` carries; empty where they were
/// not, or one of them does not say.
std::string warning_of_tokenizers(const std::optional<StoredTokenizer>& of_data,
                                  const std::optional<StoredTokenizer>& carried,
                                  const std::string& file);

}  // namespace rondo
