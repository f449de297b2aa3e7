#include "data/tokenizers/sentencepiece_tokenizer.h"

#include <fmt/format.h>
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <algorithm>
#include <memory>
#include <regex>
#include <unordered_map>

#include "base/partial_file.h"
#include "base/user_error.h"

namespace rondo {
namespace {

constexpr size_t training_bytes = size_t{32} << 20;
constexpr std::string_view space_mark = "\u2581";

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

/// The bytes that one id stands for.
std::string piece_text(const sentencepiece::SentencePieceProcessor& processor, int id) {
  if (processor.IsControl(id) || processor.IsUnused(id)) return {};
  std::string piece = processor.IdToPiece(id);
  if (processor.IsByte(id)) {  // <0x0A>
    return {static_cast<char>(std::stoi(piece.substr(3), nullptr, 16))};
  }
  if (processor.IsUnknown(id)) {
    std::string surface;
    return processor.Decode(std::vector<int>{id}, &surface).ok() ? surface : piece;
  }
  for (size_t at = 0; (at = piece.find(space_mark, at)) != std::string::npos;) {
    piece.replace(at, space_mark.size(), " ");
  }
  return piece;
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

Tokenizer open_sentencepiece(std::string_view model, const std::string& where) {
  auto processor = std::make_shared<sentencepiece::SentencePieceProcessor>();
  const auto status = processor->LoadFromSerializedProto({model.data(), model.size()});
  if (model.empty() || !status.ok()) {
    throw UserError(
        fmt::format("{}: not a SentencePiece model; give a .model file, or the path "
                    "of a new one together with --vocab",
                    where));
  }
  std::vector<std::string> pieces;
  for (int id = 0; id < processor->GetPieceSize(); ++id) {
    pieces.push_back(piece_text(*processor, id));
  }
  Tokenizer tokenizer;
  tokenizer.vocab = processor->GetPieceSize();
  tokenizer.encode = [processor](std::string_view text, std::vector<int64_t>& tokens) {
    std::vector<int> ids;
    const auto encoded = processor->Encode({text.data(), text.size()}, &ids);
    if (!encoded.ok()) throw std::runtime_error("SentencePiece: " + reason(encoded));
    tokens.insert(tokens.end(), ids.begin(), ids.end());
  };
  tokenizer.decode = decode_pieces(std::move(pieces));
  if (processor->eos_id() >= 0) tokenizer.end = processor->eos_id();
  return tokenizer;
}

void train_sentencepiece(const std::string& path, int64_t vocab,
                         std::span<const std::string_view> texts) {
  PartialFile file(path);
  size_t bytes = 0;
  for (const std::string_view text : texts) bytes += text.size();
  Lines lines(texts, bytes / training_bytes + 1);
  const std::unordered_map<std::string, std::string> arguments = {
      {"model_type", "bpe"},
      {"vocab_size", std::to_string(vocab)},
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
    throw UserError(fmt::format("--vocab {}: {}", vocab, advice(reason(status))));
  }
  file.write(model);
  file.publish();
}

}  // namespace rondo
