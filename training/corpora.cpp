#include "training/corpora.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/user_error.h"
#include "data/prepare.h"

namespace rondo {

namespace {

/// The usual slips, answered in the words in which the user named the prefix.
void check_prefix(const std::string& name, const std::string& prefix) {
  namespace fs = std::filesystem;
  const fs::path path(prefix);
  const bool has_bin = fs::exists(prefix + ".bin");
  const bool has_idx = fs::exists(prefix + ".idx");
  if (has_bin && has_idx) return;
  if (has_bin || has_idx) {
    throw UserError(fmt::format(
        "{} {}: there is {} without {} beside it; copy both, or make them again with rondo prepare",
        name, prefix, prefix + (has_bin ? ".bin" : ".idx"), prefix + (has_bin ? ".idx" : ".bin")));
  }
  if (fs::exists(path) && (path.extension() == ".bin" || path.extension() == ".idx")) {
    throw UserError(fmt::format("{} {}: give the prefix that .bin and .idx share, {}", name, prefix,
                                fs::path(path).replace_extension().string()));
  }
  throw UserError(fmt::format(
      "{} {}: there is no {}.bin; make it from text with rondo prepare --input FILE --output {}",
      name, prefix, prefix, prefix));
}

}  // namespace

IndexedDataset open_corpus(const std::string& name, const std::string& prefix,
                           std::optional<int64_t> vocab) {
  check_prefix(name, prefix);
  IndexedDataset data(prefix);
  if (!vocab) return data;
  const std::optional<DatasetInfo> info = read_dataset_info(prefix);
  const bool vouched = info && info->vocab <= *vocab && info->tokens == data.tokens();
  if (!vouched) data.check_vocab(*vocab);
  return data;
}

Corpora open_corpora(const Config& config, bool check_tokens) {
  const DataConfig& data = config.data;
  const auto vocab = check_tokens ? std::optional(config.model.vocab) : std::nullopt;
  if (data.path.empty() && data.blend.empty()) {
    throw UserError("no data: set data.path=PREFIX to the .bin/.idx that `rondo prepare` wrote");
  }
  std::vector<Corpus> corpora;
  if (!data.path.empty()) corpora.push_back({open_corpus("data.path", data.path, vocab), 1.0});
  for (const BlendEntry& entry : data.blend) {
    corpora.push_back({open_corpus("data.blend", entry.path, vocab), entry.weight});
  }
  SampleOptions options{.sequence = data.sequence,
                        .global_batch = config.train.global_batch,
                        .shuffle = data.shuffle,
                        .seed = config.train.seed,
                        .validation = data.validation,
                        .split = Split::train,
                        .vocab = config.model.vocab};
  Corpora result{SampleSource(corpora, options), std::nullopt};
  options.shuffle = false;
  if (data.validation > 0.0) {
    options.split = Split::validation;
    result.validation.emplace(corpora, options);
  } else if (!data.validation_path.empty()) {
    result.validation.emplace(
        std::vector<Corpus>{
            {open_corpus("data.validation_path", data.validation_path, vocab), 1.0}},
        options);
  }
  return result;
}

}  // namespace rondo
