#include "data/prepare.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "base/mapped_file.h"
#include "base/output_path.h"
#include "base/partial_file.h"
#include "base/user_error.h"
#include "data/dataset/indexed_dataset.h"
#include "data/tokenizers/text_blocks.h"
#include "data/tokenizers/tokenizer.h"
#include "data/tokenizers/utf8.h"

namespace rondo {
namespace {

constexpr const char* definition_suffix = ".tokenizer";

struct Document {
  MappedFile file;
  size_t cut;  ///< where the held-out part begins

  std::string_view train() const { return file.view().substr(0, cut); }
  std::string_view held_out() const { return file.view().substr(cut); }
};

/// The line boundary nearest to `target` and within a block of it, else the character boundary.
size_t boundary_near(std::string_view text, size_t target) {
  const size_t begin = target - std::min(target, block_bytes);
  const size_t before = text.substr(begin, target - begin).rfind('\n');
  const size_t after = text.substr(target, block_bytes).find('\n');
  const bool has_before = before != std::string_view::npos;
  const bool has_after = after != std::string_view::npos && target + after + 1 < text.size();
  const size_t earlier = has_before ? begin + before + 1 : 0;
  const size_t later = has_after ? target + after + 1 : text.size();
  if (has_before && (!has_after || target - earlier <= later - target)) return earlier;
  return has_after ? later : character_boundary(text, target);
}

void check_options(const PrepareOptions& options) {
  if (options.inputs.empty()) throw UserError("prepare: no input; give --input FILE…");
  if (options.output.empty()) throw UserError("prepare: no output; give --output PREFIX");
  if (!(options.holdout >= 0 && options.holdout < 1)) {
    throw UserError(
        fmt::format("--holdout {}: give a fraction of at least 0 and below 1", options.holdout));
  }
  check_output_path("--output", options.output);
}

std::vector<std::string> output_prefixes(const PrepareOptions& options) {
  if (options.holdout == 0) return {options.output};
  return {options.output, options.output + ".validation"};
}

/// `file` is read, so none of the files to write may be it.
void check_not_an_output(const PrepareOptions& options, const std::string& file,
                         const std::string& role) {
  for (const std::string& prefix : output_prefixes(options)) {
    for (const char* suffix : {".bin", ".idx", ".tokenizer", ".json"}) {
      std::error_code absent;
      if (std::filesystem::equivalent(prefix + suffix, file, absent)) {
        throw UserError(fmt::format("--output {}: would replace the {} {}; give another prefix",
                                    options.output, role, file));
      }
    }
  }
}

std::vector<Document> open_documents(const PrepareOptions& options, bool needs_utf8) {
  std::vector<Document> documents;
  for (const std::string& path : options.inputs) {
    MappedFile file(path);
    const std::string_view text = file.view();
    if (text.empty()) throw UserError(fmt::format("{}: the file is empty; leave it out", path));
    check_not_an_output(options, path, "input");
    if (const auto bad = needs_utf8 ? first_invalid_utf8(text) : std::nullopt) {
      throw UserError(
          fmt::format("{}: not UTF-8 at byte {} (0x{:02X}); convert the file, or use "
                      "--tokenizer bytes",
                      path, *bad, static_cast<unsigned char>(text[*bad])));
    }
    const double kept = static_cast<double>(text.size()) * (1 - options.holdout);
    const size_t cut =
        options.holdout == 0 ? text.size() : boundary_near(text, static_cast<size_t>(kept));
    documents.push_back({std::move(file), cut});
  }
  return documents;
}

/// One data set in the making.
class Part {
 public:
  /// `tokenizer` must live as long; `definition` is what it was opened from.
  Part(const std::string& prefix, const Tokenizer& tokenizer, const TokenizerDefinition& definition)
      : tokenizer_(tokenizer),
        dataset_(prefix, tokenizer.vocab),
        definition_path_(prefix + definition_suffix),
        json_(prefix + ".json") {
    info_.tokenizer = tokenizer.name;
    info_.vocab = tokenizer.vocab;
    if (definition.contents.empty()) return;
    definition_.emplace(definition_path_);
    definition_->write(definition.contents);
  }

  void add_document(std::string_view text, const std::function<void(size_t)>& encoded) {
    if (text.empty()) return;
    while (!text.empty()) {
      const std::string_view block = next_block(text, tokenizer_);
      text.remove_prefix(block.size());
      tokens_.clear();
      tokenizer_.encode(block, tokens_);
      dataset_.append(tokens_);
      for (const char c : block) ++histogram_[static_cast<unsigned char>(c)];
      info_.bytes += static_cast<int64_t>(block.size());
      encoded(block.size());
    }
    dataset_.end_document();
    ++info_.documents;
  }

  void close() {
    info_.tokens = dataset_.tokens();
    for (const int64_t count : histogram_) {
      if (count == 0) continue;
      const double share = static_cast<double>(count) / static_cast<double>(info_.bytes);
      info_.unigram_entropy -= share * std::log2(share);
    }
    dataset_.close();
    if (definition_) definition_->close();
    const nlohmann::ordered_json json = {
        {"tokenizer", info_.tokenizer}, {"vocab", info_.vocab},
        {"bytes", info_.bytes},         {"tokens", info_.tokens},
        {"documents", info_.documents}, {"unigram_entropy", info_.unigram_entropy}};
    // A name of bytes that are no UTF-8 is kept readable rather than refused.
    json_.write(json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
    json_.close();
  }

  void publish() {
    dataset_.finish();
    if (definition_) {
      definition_->publish();
    } else {
      std::filesystem::remove(definition_path_);  // of a data set that was here before
    }
    json_.publish();
  }

  const DatasetInfo& info() const { return info_; }

 private:
  const Tokenizer& tokenizer_;
  DatasetInfo info_;
  std::array<int64_t, 256> histogram_ = {};
  std::vector<int64_t> tokens_;
  IndexedDatasetWriter dataset_;
  std::string definition_path_;
  std::optional<PartialFile> definition_;
  PartialFile json_;
};

}  // namespace

PrepareReport prepare(const PrepareOptions& options, const ProgressCallback& progress) {
  check_options(options);
  const TokenizerRequest request = request_tokenizer(options.tokenizer, options.vocab);
  if (!request.file.empty()) check_not_an_output(options, request.file, "tokenizer");
  const auto documents = open_documents(options, request.needs_utf8());
  if (request.train) {
    std::vector<std::string_view> texts;
    for (const Document& document : documents) texts.push_back(document.train());
    train_tokenizer(request, texts);
  }
  const TokenizerDefinition definition = read_definition(request);
  const Tokenizer tokenizer = open_tokenizer(request, definition);

  int64_t total = 0;
  for (const Document& document : documents) total += static_cast<int64_t>(document.file.size());
  int64_t done = 0;
  const auto encoded = [&](size_t bytes) {
    done += static_cast<int64_t>(bytes);
    if (progress) progress(done, total);
  };

  std::deque<Part> parts;
  for (const std::string& prefix : output_prefixes(options)) {
    parts.emplace_back(prefix, tokenizer, definition);
  }
  for (const Document& document : documents) {
    parts.front().add_document(document.train(), encoded);
    if (parts.size() > 1) parts.back().add_document(document.held_out(), encoded);
  }
  for (Part& part : parts) part.close();
  for (Part& part : parts) part.publish();

  PrepareReport report{parts.front().info(), std::nullopt, request.train};
  if (parts.size() > 1) report.validation = parts.back().info();
  return report;
}

std::optional<DatasetInfo> read_dataset_info(const std::string& prefix) {
  const std::string path = prefix + ".json";
  if (!std::filesystem::exists(path)) return std::nullopt;
  try {
    const auto json = nlohmann::json::parse(MappedFile(path).view());
    return DatasetInfo{json.at("tokenizer"), json.at("vocab"),     json.at("bytes"),
                       json.at("tokens"),    json.at("documents"), json.at("unigram_entropy")};
  } catch (const nlohmann::json::exception&) {
    throw UserError(fmt::format("{}: damaged; prepare the corpus again, or remove the file", path));
  }
}

std::optional<TokenizerDefinition> read_dataset_tokenizer(const std::string& prefix) {
  const auto info = read_dataset_info(prefix);
  if (!info) return std::nullopt;
  const std::string kind = info->tokenizer.substr(0, info->tokenizer.find(':'));
  if (kind == info->tokenizer) return TokenizerDefinition{kind, ""};
  const std::string path = prefix + definition_suffix;
  if (!std::filesystem::exists(path)) return std::nullopt;
  return TokenizerDefinition{kind, std::string(MappedFile(path).view())};
}

}  // namespace rondo
