// Opens the tokens that a config names.
#pragma once

#include <optional>

#include "data/batches.h"
#include "launcher/config.h"

namespace rondo {

/// Checks that every token of PREFIX fits a vocabulary. The scan is spared where PREFIX.json
/// vouches for it. Throws UserError.
IndexedDataset open_corpus(const std::string& prefix, int64_t vocab);

struct Corpora {
  SampleSource train;
  std::optional<SampleSource> validation;
};

/// `config` comes from parse_config, which has refused keys that exclude each other. Throws
/// UserError: no data named, whatever is wrong with the files.
Corpora open_corpora(const Config& config);

}  // namespace rondo
