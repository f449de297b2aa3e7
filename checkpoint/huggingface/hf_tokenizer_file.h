// The tokenizer of a Hugging Face folder, carried along as it is.
#pragma once

#include <optional>
#include <string>

#include "checkpoint/format/checkpoint.h"

namespace rondo {

/// DIR/tokenizer.model (SentencePiece) or else DIR/tokenizer.json, with the first `eos_token_id` of
/// DIR/config.json; nothing where the folder has neither. Throws UserError.
std::optional<StoredTokenizer> read_hugging_face_tokenizer(const std::string& dir);

/// What the file of `tokenizer` is called in such a folder; empty for one that has no file.
std::string hugging_face_tokenizer_file(const StoredTokenizer& tokenizer);

}  // namespace rondo
