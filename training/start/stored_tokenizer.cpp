#include "training/start/stored_tokenizer.h"

#include <fmt/format.h>

#include "base/user_error.h"
#include "data/prepare.h"

namespace rondo {
namespace {

std::vector<int64_t> ends_of(const Tokenizer& tokenizer) {
  return tokenizer.end ? std::vector<int64_t>{*tokenizer.end} : std::vector<int64_t>();
}

}  // namespace

OpenTokenizer open_tokenizer_of(const CheckpointReader& reader) {
  const std::optional<StoredTokenizer>& stored = reader.header().tokenizer;
  if (!stored) {
    throw UserError(
        fmt::format("{} carries no tokenizer; name one with --tokenizer bytes, sentencepiece:FILE "
                    "or hf:tokenizer.json",
                    reader.file()));
  }
  Tokenizer tokenizer = open_tokenizer({stored->kind, stored->contents}, reader.file());
  const std::vector<int64_t> ends = stored->ends.empty() ? ends_of(tokenizer) : stored->ends;
  return {std::move(tokenizer), ends};
}

OpenTokenizer open_named_tokenizer(const std::string& name) {
  const TokenizerRequest request = request_tokenizer(name, 0);
  Tokenizer tokenizer = open_tokenizer(request, read_definition(request));
  const std::vector<int64_t> ends = ends_of(tokenizer);
  return {std::move(tokenizer), ends};
}

std::optional<StoredTokenizer> tokenizer_of_data(const std::string& prefix) {
  const std::optional<TokenizerDefinition> found = read_dataset_tokenizer(prefix);
  if (!found) return std::nullopt;
  return StoredTokenizer{found->kind, found->contents, {}};
}

std::optional<StoredTokenizer> tokenizer_of_data(const Config& config) {
  std::vector<std::string> prefixes = config.data.validation_paths;
  prefixes.insert(prefixes.begin(), config.data.path);
  for (const BlendEntry& entry : config.data.blend) prefixes.push_back(entry.path);
  std::optional<StoredTokenizer> first;
  std::string first_prefix;
  for (const std::string& prefix : prefixes) {
    const std::optional<StoredTokenizer> stored =
        prefix.empty() ? std::nullopt : tokenizer_of_data(prefix);
    if (!stored) continue;
    if (first && !(*first == *stored)) {
      throw UserError(fmt::format(
          "{} and {} were made with different tokenizers; make one of them again (rondo prepare "
          "--tokenizer …)",
          first_prefix, prefix));
    }
    if (!first) first_prefix = prefix;
    first = stored;
  }
  return first;
}

std::string warning_of_tokenizers(const std::optional<StoredTokenizer>& of_data,
                                  const std::optional<StoredTokenizer>& carried,
                                  const std::string& file) {
  if (!of_data || !carried) return "";
  if (of_data->kind == carried->kind && of_data->contents == carried->contents) return "";
  return fmt::format(
      "rondo: warning: the data was made with another tokenizer than {} carries; its tokens may "
      "stand for other text (rondo prepare --tokenizer … makes it anew)\n",
      file);
}

}  // namespace rondo
