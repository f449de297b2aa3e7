#include "data/prepare.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
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
#include "data/documents.h"
#include "data/tokenizers/text_blocks.h"
#include "data/tokenizers/tokenizer.h"

namespace rondo {
namespace {

constexpr const char* definition_suffix = ".tokenizer";

void check_options(const PrepareOptions& options) {
  if (options.inputs.empty() && options.input_list.empty()) {
    throw UserError("prepare: no input; give --input FILE… or --input-list FILE");
  }
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

/// What the standard input holds, under a name.
void copy_input(PartialFile& file) {
  std::array<char, 1 << 16> block{};
  while (const size_t count = std::fread(block.data(), 1, block.size(), stdin)) {
    file.write({block.data(), count});
  }
  if (std::ferror(stdin) != 0) throw UserError("--input -: cannot read the standard input");
  file.close();
}

std::vector<std::string> all_inputs(const PrepareOptions& options) {
  std::vector<std::string> files = options.inputs;
  if (options.input_list.empty()) return files;
  const std::vector<std::string> listed = read_file_list(options.input_list);
  files.insert(files.end(), listed.begin(), listed.end());
  return files;
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
    encode_text(text, tokenizer_, [&](std::string_view block, const std::vector<int64_t>& tokens) {
      dataset_.append(tokens);
      for (const char c : block) ++histogram_[static_cast<unsigned char>(c)];
      info_.bytes += static_cast<int64_t>(block.size());
      encoded(block.size());
    });
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
  DocumentOptions wanted{all_inputs(options), options.jsonl_key, request.needs_utf8(),
                         options.holdout};
  // It is read several times.
  std::optional<PartialFile> input;
  for (std::string& file : wanted.files) {
    if (file != "-") {
      check_not_an_output(options, file, "input");
      continue;
    }
    if (input) throw UserError("--input -: is named twice; the standard input can be read once");
    input.emplace(options.output + ".input");
    copy_input(*input);
    file = input->partial();
  }
  const Documents documents(std::move(wanted));
  if (request.train) {
    train_tokenizer(request, documents.bytes(), [&](const auto& use) {
      documents.each([&](std::string_view train, std::string_view) { use(train); });
    });
  }
  const TokenizerDefinition definition = read_definition(request);
  const Tokenizer tokenizer = open_tokenizer(request, definition);

  int64_t done = 0;
  const auto encoded = [&](size_t bytes) {
    done += static_cast<int64_t>(bytes);
    if (progress) progress(done, documents.bytes());
  };

  std::deque<Part> parts;
  for (const std::string& prefix : output_prefixes(options)) {
    parts.emplace_back(prefix, tokenizer, definition);
  }
  documents.each([&](std::string_view train, std::string_view held_out) {
    parts.front().add_document(train, encoded);
    if (parts.size() > 1) parts.back().add_document(held_out, encoded);
  });
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
