// Opens the tokens that a config names.
#pragma once

#include <optional>

#include "data/dataset/batches.h"
#include "launcher/config/config.h"

namespace rondo {

/// Opens PREFIX, which the user named with the key or option `name`; with `vocab` every token must
/// fit it, which is scanned for where PREFIX.json does not vouch for it (SampleSource finds what it
/// vouches for wrongly). Throws UserError.
IndexedDataset open_corpus(const std::string& name, const std::string& prefix,
                           std::optional<int64_t> vocab);

struct Corpora {
  SampleSource train;
  std::optional<SampleSource> validation;
};

/// `config` comes from parse_config, which has refused keys that exclude each other. One rank of a
/// job does `check_tokens` for all. Throws UserError: no data named, whatever is wrong with the
/// files.
Corpora open_corpora(const Config& config, bool check_tokens);

}  // namespace rondo
