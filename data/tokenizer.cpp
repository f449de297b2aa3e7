#include "data/tokenizer.h"

#include <fmt/format.h>
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <regex>
#include <unordered_map>

#include "base/user_error.h"
#include "data/mapped_file.h"
#include "data/partial_file.h"

namespace rondo {
namespace {

constexpr std::string_view sentencepiece_prefix = "sentencepiece:";
constexpr std::string_view hugging_face_prefix = "hf:";
constexpr int64_t byte_values = 256;
constexpr int64_t special_pieces = 3;  // unknown, begin, end
constexpr size_t training_bytes = size_t{32} << 20;

/// The library's messages begin with a place in its source, which ends in "] ", and may span lines.
std::string reason(const sentencepiece::util::Status& status) {
  std::string message = status.ToString();
  if (const size_t place = message.rfind("] "); place != std::string::npos) {
    message.erase(0, place + 2);
  }
  std::replace(message.begin(), message.end(), '\n', ' ');
  return message;
}

/// The library's two ways to say that a text does not make so many pieces, in the words of the
/// command line: "270 vs 367" is too few, "set it to a value <= 307" too many.
std::string advice(const std::string& reason) {
  std::smatch number;
  if (std::regex_search(reason, number, std::regex(" vs ([0-9]+)"))) {
    return fmt::format(
        "too few for the characters of this text and the bytes; raise --vocab to at least {}",
        number.str(1));
  }
  if (std::regex_search(reason, number, std::regex("<= ([0-9]+)"))) {
    return fmt::format("more than this text makes; lower --vocab to at most {}, or give more text",
                       number.str(1));
  }
  return "cannot train a model of this size on this text: " + reason;
}

Tokenizer byte_tokenizer() {
  return {"bytes", byte_values, [](std::string_view text, std::vector<int64_t>& tokens) {
            for (const char c : text) tokens.push_back(static_cast<unsigned char>(c));
          }};
}

Tokenizer open_sentencepiece(const TokenizerRequest& request) {
  auto processor = std::make_shared<sentencepiece::SentencePieceProcessor>();
  const MappedFile file(request.file);
  const auto status = processor->LoadFromSerializedProto({file.view().data(), file.size()});
  if (file.size() == 0 || !status.ok()) {
    throw UserError(
        fmt::format("{}: not a SentencePiece model; give a .model file, or the path "
                    "of a new one together with --vocab",
                    request.file));
  }
  const int64_t vocab = processor->GetPieceSize();
  if (request.vocab != 0 && request.vocab != vocab) {
    throw UserError(
        fmt::format("{}: has {} pieces but --vocab asks for {}; leave --vocab out, or "
                    "name a new file to train",
                    request.file, vocab, request.vocab));
  }
  return {request.name, vocab, [processor](std::string_view text, std::vector<int64_t>& tokens) {
            std::vector<int> ids;
            const auto encoded = processor->Encode({text.data(), text.size()}, &ids);
            if (!encoded.ok()) {
              throw std::runtime_error("SentencePiece: " + reason(encoded));
            }
            tokens.insert(tokens.end(), ids.begin(), ids.end());
          }};
}

/// Every `stride`-th line of all texts, without its line feed.
class Lines : public sentencepiece::SentenceIterator {
 public:
  Lines(std::span<const std::string_view> texts, size_t stride) : texts_(texts), stride_(stride) {
    step();
  }
  bool done() const override { return done_; }
  void Next() override {
    for (size_t i = 0; i < stride_ && !done_; ++i) step();
  }
  const std::string& value() const override { return line_; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  void step() {
    while (text_ < texts_.size() && at_ >= texts_[text_].size()) {
      ++text_;
      at_ = 0;
    }
    done_ = text_ >= texts_.size();
    if (done_) return;
    const std::string_view rest = texts_[text_].substr(at_);
    const std::string_view line = rest.substr(0, rest.find('\n'));
    line_.assign(line);
    at_ += line.size() + 1;
  }

  std::span<const std::string_view> texts_;
  size_t stride_;
  size_t text_ = 0;
  size_t at_ = 0;
  bool done_ = false;
  std::string line_;
};

}  // namespace

TokenizerRequest request_tokenizer(const std::string& name, int64_t vocab) {
  if (vocab < 0) throw UserError(fmt::format("--vocab {}: give a positive number", vocab));
  if (name == "bytes") {
    if (vocab != 0 && vocab != byte_values) {
      throw UserError(fmt::format("--vocab {}: the tokenizer bytes has {}; leave --vocab out",
                                  vocab, byte_values));
    }
    return {name, vocab, "", false};
  }
  if (!name.starts_with(sentencepiece_prefix) || name.size() == sentencepiece_prefix.size()) {
    const char* what =
        name.starts_with(hugging_face_prefix) ? "not available" : "unknown tokenizer";
    throw UserError(fmt::format("--tokenizer {}: {}; use bytes or sentencepiece:FILE", name, what));
  }
  const std::string file = name.substr(sentencepiece_prefix.size());
  const bool train = !std::filesystem::exists(file);
  if (train && vocab == 0) {
    throw UserError(
        fmt::format("{}: no such file; give a SentencePiece model, or --vocab N to "
                    "train one of N pieces there",
                    file));
  }
  if (train && vocab < byte_values + special_pieces) {
    throw UserError(fmt::format("--vocab {}: a model with byte fallback needs more than {} pieces",
                                vocab, byte_values + special_pieces));
  }
  return {name, vocab, file, train};
}

Tokenizer open_tokenizer(const TokenizerRequest& request) {
  return request.file.empty() ? byte_tokenizer() : open_sentencepiece(request);
}

void train_tokenizer(const TokenizerRequest& request, std::span<const std::string_view> texts) {
  PartialFile file(request.file);
  size_t bytes = 0;
  for (const std::string_view text : texts) bytes += text.size();
  Lines lines(texts, bytes / training_bytes + 1);
  const std::unordered_map<std::string, std::string> arguments = {
      {"model_type", "bpe"},
      {"vocab_size", std::to_string(request.vocab)},
      {"byte_fallback", "true"},
      {"character_coverage", "0.9995"},
      {"normalization_rule_name", "identity"},
      {"add_dummy_prefix", "false"},
      {"remove_extra_whitespaces", "false"},
      {"allow_whitespace_only_pieces", "true"},
      {"max_sentence_length", "65536"},
      {"minloglevel", "3"},
  };
  std::string model;
  const auto status = sentencepiece::SentencePieceTrainer::Train(arguments, &lines, &model);
  if (!status.ok()) {
    throw UserError(fmt::format("--vocab {}: {}", request.vocab, advice(reason(status))));
  }
  file.write(model);
  file.publish();
}

}  // namespace rondo
