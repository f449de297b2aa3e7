// Text to token ids.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rondo {

/// A tokenizer is a value: a name, a size and a function.
struct Tokenizer {
  std::string name;  ///< as given on the command line: bytes, sentencepiece:FILE
  int64_t vocab = 0;
  /// Appends the ids of `text` to `tokens`. `text` is valid UTF-8 where the request needs it.
  std::function<void(std::string_view text, std::vector<int64_t>& tokens)> encode;
};

/// What `--tokenizer NAME` and `--vocab N` ask for, checked before a file is read.
struct TokenizerRequest {
  std::string name;
  int64_t vocab = 0;   ///< 0 = whatever the tokenizer has
  std::string file;    ///< of sentencepiece:FILE
  bool train = false;  ///< FILE does not exist and `vocab` pieces are to be trained

  bool needs_utf8() const { return !file.empty(); }
};

/// `bytes` (256 ids), `sentencepiece:FILE`. UserError when the name is unknown or FILE is missing
/// and no vocabulary size is given.
TokenizerRequest request_tokenizer(const std::string& name, int64_t vocab);

/// Opens an existing tokenizer; UserError when FILE is not a SentencePiece model, or has another
/// vocabulary size than asked for.
Tokenizer open_tokenizer(const TokenizerRequest& request);

/// Trains `request.vocab` BPE pieces with byte fallback on the lines of `texts` (valid UTF-8) and
/// writes `request.file`, which appears only when complete. Text survives encoding and decoding: it
/// is not normalised, and what has no piece (a line feed too) becomes bytes. Large texts are
/// sampled evenly by line.
void train_tokenizer(const TokenizerRequest& request, std::span<const std::string_view> texts);

}  // namespace rondo
