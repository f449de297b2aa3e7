// The tokenizer of a Hugging Face folder.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "checkpoint/format/checkpoint.h"

namespace rondo {

/// The bytes of one of a folder's files. Throws UserError beyond 256 MiB.
std::string read_tokenizer_file(const std::string& path);

/// What transformers takes from DIR: tokenizer.json, or vocab.json with merges.txt, or
/// tokenizer.model (SentencePiece), which is also taken where the model of tokenizer.json is no
/// BPE. Tokens that only tokenizer_config.json, added_tokens.json or special_tokens_map.json name
/// are added to it. With each `eos_token_id` of config.json and generation_config.json; nothing
/// where the folder has none of those files. Throws UserError.
std::optional<StoredTokenizer> read_hugging_face_tokenizer(const std::string& dir);

/// What the file of `tokenizer` is called in such a folder; empty for one that has no file, or that
/// was read from some of `files`, which come along themselves.
std::string hugging_face_tokenizer_file(const StoredTokenizer& tokenizer,
                                        const std::map<std::string, std::string>& files);

}  // namespace rondo
