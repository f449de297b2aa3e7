#include "launcher/corpora.h"

#include <fmt/format.h>

#include "base/user_error.h"
#include "data/prepare.h"

namespace rondo {

IndexedDataset open_corpus(const std::string& prefix, int64_t vocab) {
  IndexedDataset data(prefix);
  const std::optional<DatasetInfo> info = read_dataset_info(prefix);
  const bool vouched = info && info->vocab <= vocab && info->tokens == data.tokens();
  if (!vouched) data.check_vocab(vocab);
  return data;
}

Corpora open_corpora(const Config& config) {
  const DataConfig& data = config.data;
  if (data.path.empty() && data.blend.empty()) {
    throw UserError("no data: set data.path=PREFIX to the .bin/.idx that `rondo prepare` wrote");
  }
  std::vector<Corpus> corpora;
  if (!data.path.empty()) corpora.push_back({open_corpus(data.path, config.model.vocab), 1.0});
  for (const BlendEntry& entry : data.blend) {
    corpora.push_back({open_corpus(entry.path, config.model.vocab), entry.weight});
  }
  SampleOptions options{.sequence = data.sequence,
                        .global_batch = config.train.global_batch,
                        .shuffle = data.shuffle,
                        .seed = config.train.seed,
                        .validation = data.validation,
                        .split = Split::train};
  Corpora result{SampleSource(corpora, options), std::nullopt};
  options.shuffle = false;
  if (data.validation > 0.0) {
    options.split = Split::validation;
    result.validation.emplace(corpora, options);
  } else if (!data.validation_path.empty()) {
    result.validation.emplace(
        std::vector<Corpus>{{open_corpus(data.validation_path, config.model.vocab), 1.0}}, options);
  }
  return result;
}

}  // namespace rondo
