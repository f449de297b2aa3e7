#include "data/tokenizers/sentencepiece_tokenizer.h"

#include <fmt/format.h>
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <regex>
#include <unordered_map>

#include "base/json_integer.h"
#include "base/partial_file.h"
#include "base/proto_fields.h"
#include "base/user_error.h"
#include "data/tokenizers/added_tokens.h"
#include "data/tokenizers/replaced.h"

namespace rondo {
namespace {

constexpr int64_t training_bytes = int64_t{32} << 20;
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
  return replaced(piece, space_mark, " ");
}

using Processor = sentencepiece::SentencePieceProcessor;

void encode_with(const Processor& processor, std::string_view text, std::vector<int64_t>& tokens) {
  std::vector<int> ids;
  const auto encoded = processor.Encode({text.data(), text.size()}, &ids);
  if (!encoded.ok()) throw std::runtime_error("SentencePiece: " + reason(encoded));
  tokens.insert(tokens.end(), ids.begin(), ids.end());
}

/// A model, and the same with and without the space that it puts in front of each text.
class Models {
 public:
  explicit Models(std::string contents) : contents_(std::move(contents)) { load("", own_); }

  /// nullptr when the contents are no model.
  const Processor* own() const { return own_.get(); }

  /// For a text that goes on from another. A model that drops white space in front of a text would
  /// lose the space that `text` begins with, and gets it back by the one that it puts there.
  const Processor& to_go_on(std::string_view text) {
    if (!without_prefix_) {
      load(no_prefix, without_prefix_);
      load(a_prefix, with_prefix_);
      std::vector<int64_t> bare;
      std::vector<int64_t> spaced;
      encode_with(*without_prefix_, "a", bare);
      encode_with(*without_prefix_, " a", spaced);
      drops_space_ = bare == spaced;
    }
    const bool spaced = text.find_first_of(" \t\n\v\f\r") == 0;
    return drops_space_ && spaced ? *with_prefix_ : *without_prefix_;
  }

 private:
  /// Two fields of the same message are read as one: normalizer_spec { add_dummy_prefix: … }.
  static constexpr std::string_view no_prefix{"\x1a\x02\x18\x00", 4};
  static constexpr std::string_view a_prefix{"\x1a\x02\x18\x01", 4};

  void load(std::string_view change, std::unique_ptr<Processor>& processor) const {
    auto loaded = std::make_unique<Processor>();
    const auto status = loaded->LoadFromSerializedProto(contents_ + std::string(change));
    if (!contents_.empty() && status.ok()) processor = std::move(loaded);
  }

  std::string contents_;
  std::unique_ptr<Processor> own_;
  std::unique_ptr<Processor> without_prefix_;
  std::unique_ptr<Processor> with_prefix_;
  bool drops_space_ = false;
};

/// Every `stride`-th line of all texts, without its line feed.
std::vector<std::string> sampled_lines(const EachText& texts, int64_t stride) {
  std::vector<std::string> lines;
  int64_t number = 0;
  texts([&](std::string_view text) {
    while (!text.empty()) {
      const std::string_view line = text.substr(0, text.find('\n'));
      if (number++ % stride == 0) lines.emplace_back(line);
      text.remove_prefix(std::min(text.size(), line.size() + 1));
    }
  });
  return lines;
}

class Lines : public sentencepiece::SentenceIterator {
 public:
  explicit Lines(std::vector<std::string> lines) : lines_(std::move(lines)) {}
  bool done() const override { return at_ >= lines_.size(); }
  void Next() override { ++at_; }
  const std::string& value() const override { return lines_[at_]; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  std::vector<std::string> lines_;
  size_t at_ = 0;
};

/// Those of added_tokens_field.
std::vector<AddedToken> added_tokens(std::string_view model, const std::string& where) {
  std::vector<AddedToken> tokens;
  each_field(model, [&](uint64_t number, std::string_view text) {
    if (number != added_tokens_field) return;
    try {
      for (const auto& token : nlohmann::json::parse(text)) {
        tokens.push_back({token.at("content"), json_integer(token.at("id")),
                          token.value("lstrip", false), token.value("rstrip", false)});
        if (tokens.back().content.empty() || tokens.back().id < 0) tokens.pop_back();
      }
    } catch (const std::exception&) {  // of the JSON, and of json_integer
      throw UserError(where + ": its added tokens are damaged");
    }
  });
  return tokens;
}

/// A text between added tokens goes on from them, as transformers has it: only what begins the
/// whole text has a space put in front.
void add_tokens(Tokenizer& tokenizer, std::vector<std::string>& pieces,
                const std::vector<AddedToken>& tokens) {
  if (tokens.empty()) return;
  for (const AddedToken& token : tokens) {
    pieces.resize(std::max(pieces.size(), static_cast<size_t>(token.id) + 1));
    pieces[token.id] = token.content;
  }
  tokenizer.vocab = static_cast<int64_t>(pieces.size());
  const auto found = std::make_shared<const AddedTokens>(tokens);
  const auto between = [found, start = tokenizer.encode, on = tokenizer.encode_on](bool goes_on) {
    return [=](std::string_view text, std::vector<int64_t>& ids) {
      const auto encode = [&](std::string_view stretch) {
        const bool first = stretch.data() == text.data() && !goes_on;
        (first ? start : on)(stretch, ids);
      };
      found->split(text, encode, ids);
    };
  };
  tokenizer.encode = between(false);
  tokenizer.encode_on = between(true);
}

}  // namespace

Tokenizer open_sentencepiece(std::string_view model, const std::string& where) {
  const auto models = std::make_shared<Models>(std::string(model));
  const Processor* processor = models->own();
  if (processor == nullptr) {
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
  tokenizer.encode = [models](std::string_view text, std::vector<int64_t>& tokens) {
    encode_with(*models->own(), text, tokens);
  };
  tokenizer.encode_on = [models](std::string_view text, std::vector<int64_t>& tokens) {
    encode_with(models->to_go_on(text), text, tokens);
  };
  std::vector<std::string> joining = pieces;
  joining[processor->unk_id()].clear();  // is shown with spaces around it
  mark_joins(joining, tokenizer);
  add_tokens(tokenizer, pieces, added_tokens(model, where));
  tokenizer.decode = decode_pieces(std::move(pieces));
  if (processor->eos_id() >= 0) tokenizer.end = processor->eos_id();
  return tokenizer;
}

void train_sentencepiece(const std::string& path, int64_t vocab, int64_t bytes,
                         const EachText& texts) {
  PartialFile file(path);
  Lines lines(sampled_lines(texts, bytes / training_bytes + 1));
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
