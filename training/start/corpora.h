// Opens the tokens that a config names.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/format/checkpoint.h"
#include "data/dataset/batches.h"
#include "distributed/comm/communicator.h"
#include "training/config.h"

namespace rondo {

/// Opens PREFIX, which the user named with the key or option `name`. Throws UserError.
IndexedDataset open_corpus(const std::string& name, const std::string& prefix);

/// The held-out samples of one corpus, in order.
struct HeldOut {
  std::string name;  ///< the prefix, as the config gives it
  double weight = 1;
  SampleSource samples;
};

struct Corpora {
  SampleSource train;
  std::vector<HeldOut> validation;  ///< none when nothing is held out
  std::vector<IndexedDataset> all;  ///< of both
};

/// `config` comes from parse_config, which has refused keys that exclude each other. Throws
/// UserError: no data named, whatever is wrong with the files.
Corpora open_corpora(const Config& config);

/// Looks through the tokens of `corpora` for one outside the vocabulary, where PREFIX.json does not
/// vouch for them (SampleSource finds what it vouches for wrongly). Each rank reads a part, a few
/// seconds at a time, so that none waits for another beyond the deadline of a collective.
/// `show` takes a line of progress in place of the one before, on every rank. Collective; throws
/// AgreedError.
void check_tokens(const std::vector<IndexedDataset>& corpora, int64_t vocab, Communicator& host,
                  const std::function<void(const std::string&)>& show);

/// Where the run that saved `header` stopped reading. A file that does not tell is taken to be of a
/// run that never changed its batch or data, as its config `then` says. `now` is what goes on.
/// Throws UserError, which names `file`.
DataPosition stored_position(const CheckpointHeader& header, const Config& then,
                             const SampleSource& now, const std::string& file);

/// How many of the held-out samples of each corpus to measure: all, or `most` in all, by weight as
/// far as each has so many.
std::vector<int64_t> held_out_counts(const std::vector<HeldOut>& corpora, int64_t most);

}  // namespace rondo
