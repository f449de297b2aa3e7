#include "data/tokenizers/hf_tokenizer.h"

#include <fmt/format.h>

#include <memory>
#include <stdexcept>
#include <utility>

#include "data/tokenizers/added_tokens.h"
#include "data/tokenizers/byte_pairs.h"
#include "data/tokenizers/hf_json.h"
#include "data/tokenizers/nfc.h"
#include "data/tokenizers/pattern.h"
#include "data/tokenizers/utf8.h"

namespace rondo {
namespace {

/// From text to ids: added tokens of the text as it is, normalisation, added tokens of the
/// normalised text, words, pieces.
class Encoder {
 public:
  explicit Encoder(const HfTokenizer& parts)
      : raw_tokens_(parts.raw_tokens),
        normalised_tokens_(parts.normalised_tokens),
        nfc_(parts.nfc),
        patterns_(parts.patterns),
        pairs_(parts.model) {}

  void encode(std::string_view text, std::vector<int64_t>& tokens) {
    if (const auto bad = first_invalid_utf8(text)) {
      throw std::invalid_argument(fmt::format("text is not UTF-8 at byte {}", *bad));
    }
    const auto words = [&](std::string_view stretch) { split(stretch, patterns_, tokens); };
    const auto normalise = [&](std::string_view stretch) {
      normalised_tokens_.split(nfc_ ? to_nfc(stretch) : std::string(stretch), words, tokens);
    };
    raw_tokens_.split(text, normalise, tokens);
  }

 private:
  /// Each pattern splits the pieces that the one before it has made.
  void split(std::string_view text, std::span<const Pattern> patterns,
             std::vector<int64_t>& tokens) {
    if (patterns.empty()) return pairs_.encode(text, tokens);
    patterns.front().split(
        text, [&](std::string_view piece) { split(piece, patterns.subspan(1), tokens); });
  }

  AddedTokens raw_tokens_;
  AddedTokens normalised_tokens_;
  bool nfc_;
  std::vector<Pattern> patterns_;
  BytePairEncoder pairs_;
};

}  // namespace

Tokenizer open_hf_tokenizer(std::string_view json, const std::string& where) {
  HfTokenizer parts = read_hf_tokenizer(json, where);
  const auto encoder = std::make_shared<Encoder>(parts);
  Tokenizer tokenizer;
  tokenizer.vocab = static_cast<int64_t>(parts.pieces.size());
  tokenizer.encode = [encoder](std::string_view text, std::vector<int64_t>& tokens) {
    encoder->encode(text, tokens);
  };
  tokenizer.decode = decode_pieces(std::move(parts.pieces));
  tokenizer.end = parts.end;
  return tokenizer;
}

}  // namespace rondo
