// Text to token ids.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rondo {

/// A tokenizer is a value: a name, a size and its functions. Copies share what they remember of
/// words seen: one thread at a time.
struct Tokenizer {
  std::string name;  ///< as given on the command line: bytes, sentencepiece:FILE, hf:FILE
  int64_t vocab = 0;
  /// Appends the ids of `text` to `tokens`, and none for its begin or end. `text` is valid UTF-8
  /// unless the tokenizer is `bytes`; hf throws std::invalid_argument where it is not.
  std::function<void(std::string_view text, std::vector<int64_t>& tokens)> encode;
  /// The same for a text that goes on from text before it: what the tokenizer puts in front of a
  /// whole text is left out.
  std::function<void(std::string_view text, std::vector<int64_t>& tokens)> encode_on;
  /// Whether a token may reach from a word across the space that follows, or from a line into the
  /// next: then a text cannot be cut there and keep its tokens.
  bool joins_words = false;
  bool joins_lines = false;
  /// The bytes that the ids stand for, one id after the other: decode(a) + decode(b) = decode(ab),
  /// also where a character is split between a and b. It gives back the text that was encoded,
  /// after the tokenizer's normalisation (a SentencePiece model may put a space in front, which
  /// stays). Added tokens decode to their text, SentencePiece's control pieces to nothing. Throws
  /// std::out_of_range for an id that is not in 0 … vocab − 1.
  std::function<std::string(std::span<const int64_t> tokens)> decode;
  /// The token that ends a text: SentencePiece's eos_id; of tokenizer.json the added token
  /// <|endoftext|> or else the first there is of <|end_of_text|>, </s>, <eos>, <|im_end|> and
  /// <|eot_id|>.
  std::optional<int64_t> end;
};

/// Enough to open a tokenizer anywhere.
struct TokenizerDefinition {
  std::string kind;  ///< bytes, sentencepiece, hf
  std::string
      contents;  ///< the file's bytes, to which `added_tokens_field` may add; none for bytes

  bool operator==(const TokenizerDefinition&) const = default;
};

/// What `--tokenizer NAME` and `--vocab N` ask for, checked before a file is read.
struct TokenizerRequest {
  std::string name;
  std::string kind;    ///< what stands before the colon of `name`
  std::string file;    ///< what stands after it
  int64_t vocab = 0;   ///< 0 = whatever the tokenizer has
  bool train = false;  ///< FILE does not exist and `vocab` pieces are to be trained

  bool needs_utf8() const { return kind != "bytes"; }
};

/// `bytes` (256 ids), `sentencepiece:FILE`, `hf:FILE` (a tokenizer.json). UserError when the name
/// is unknown or FILE is missing and cannot be trained.
TokenizerRequest request_tokenizer(const std::string& name, int64_t vocab);

/// Reads the file that is asked for. UserError when it cannot be read.
TokenizerDefinition read_definition(const TokenizerRequest& request);

/// UserError, which names `where`, when the contents are not a SentencePiece model, or not a
/// byte-level BPE in a tokenizer.json. The name of the tokenizer is its kind.
Tokenizer open_tokenizer(const TokenizerDefinition& definition, const std::string& where);

/// Opens what was read for `request` under its name; UserError also when it has another vocabulary
/// size than asked for.
Tokenizer open_tokenizer(const TokenizerRequest& request, const TokenizerDefinition& definition);

/// decode of a tokenizer whose ids are the indices of `pieces`.
std::function<std::string(std::span<const int64_t>)> decode_pieces(std::vector<std::string> pieces);

/// Sets joins_words and joins_lines of a tokenizer with such pieces.
void mark_joins(const std::vector<std::string>& pieces, Tokenizer& tokenizer);

/// Calls what it is given with one text after the other.
using EachText = std::function<void(const std::function<void(std::string_view text)>& use)>;

/// Trains `request.vocab` BPE pieces with byte fallback on the lines of `texts` (valid UTF-8, so
/// many bytes) and writes `request.file`, which appears only when complete. Text survives encoding
/// and decoding: it is not normalised, and what has no piece (a line feed too) becomes bytes. Large
/// texts are sampled evenly by line.
void train_tokenizer(const TokenizerRequest& request, int64_t bytes, const EachText& texts);

}  // namespace rondo
