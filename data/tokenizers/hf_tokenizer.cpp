#include "data/tokenizers/hf_tokenizer.h"

#include <fmt/format.h>

#include <memory>
#include <stdexcept>
#include <utility>

#include "data/tokenizers/added_tokens.h"
#include "data/tokenizers/byte_pairs.h"
#include "data/tokenizers/hf_json.h"
#include "data/tokenizers/text_steps.h"
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
        normalizers_(parts.normalizers),
        word_steps_(parts.word_steps),
        pairs_(parts.model) {}

  void encode(std::string_view text, bool goes_on, std::vector<int64_t>& tokens) {
    if (const auto bad = first_invalid_utf8(text)) {
      throw std::invalid_argument(fmt::format("text is not UTF-8 at byte {}", *bad));
    }
    const auto word = [&](std::string_view piece) { pairs_.encode(piece, tokens); };
    const auto normalised = [&](std::string_view stretch) {
      const bool first = stretch.data() == text.data();
      const Place place{first, first && goes_on};
      const std::string normal = normalise(normalizers_, stretch, place);
      const auto words = [&](std::string_view between) {
        const bool same = between.data() == normal.data();
        split_words(word_steps_, between, {place.at_start && same, place.goes_on && same}, word);
      };
      normalised_tokens_.split(normal, words, tokens);
    };
    raw_tokens_.split(text, normalised, tokens);
  }

 private:
  AddedTokens raw_tokens_;
  AddedTokens normalised_tokens_;
  std::vector<Normalizer> normalizers_;
  std::vector<WordStep> word_steps_;
  BytePairEncoder pairs_;
};

}  // namespace

Tokenizer open_hf_tokenizer(std::string_view json, const std::string& where) {
  HfTokenizer parts = read_hf_tokenizer(json, where);
  const auto encoder = std::make_shared<Encoder>(parts);
  Tokenizer tokenizer;
  tokenizer.vocab = static_cast<int64_t>(parts.pieces.size());
  tokenizer.encode = [encoder](std::string_view text, std::vector<int64_t>& tokens) {
    encoder->encode(text, /*goes_on=*/false, tokens);
  };
  tokenizer.encode_on = [encoder](std::string_view text, std::vector<int64_t>& tokens) {
    encoder->encode(text, /*goes_on=*/true, tokens);
  };
  const bool by_byte = parts.model.letters.empty();  // words are apart before they become pieces
  if (!by_byte) mark_joins(parts.pieces, tokenizer);
  tokenizer.decode = decode_pieces(std::move(parts.pieces));
  tokenizer.end = parts.end;
  return tokenizer;
}

}  // namespace rondo
