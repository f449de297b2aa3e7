// A tokenizer.json that needs no other file beside it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace rondo {

/// The files beside a tokenizer that name tokens; empty objects where they are not there.
struct TokenizerSettings {
  const nlohmann::json& config;        ///< tokenizer_config.json
  const nlohmann::json& added_tokens;  ///< added_tokens.json: content → id
  const nlohmann::json& special;       ///< special_tokens_map.json
};

/// `tokenizer_json` with the tokens of `settings` that it lacks; as it is where it has them all, or
/// is no such file. Throws UserError, which names `where`.
std::string with_added_tokens(std::string tokenizer_json, const TokenizerSettings& settings,
                              const std::string& where);

/// Of byte-level BPE in two files, as GPT-2 and Qwen2 (of which settings.config tells) read it.
/// Throws UserError, which names the file in `dir`.
std::string tokenizer_json_of(std::string_view vocab, std::string_view merges,
                              const TokenizerSettings& settings, const std::string& dir);

/// A SentencePiece `model` with the tokens of `settings` that it lacks, in `added_tokens_field`; as
/// it is where it has them all. Throws UserError, which names `where`.
std::string model_with_added_tokens(std::string model, const TokenizerSettings& settings,
                                    const std::string& where);

/// Whether its model is BPE.
bool is_bpe(std::string_view tokenizer_json);

}  // namespace rondo
