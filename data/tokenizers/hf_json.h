// What a tokenizer.json says.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizers/added_tokens.h"
#include "data/tokenizers/byte_pairs.h"
#include "data/tokenizers/pattern.h"

namespace rondo {

/// A tokenizer.json in bytes and ids.
struct HfTokenizer {
  std::vector<std::string> pieces;            ///< the bytes of each id; empty where there is none
  std::vector<AddedToken> raw_tokens;         ///< looked for before the text is normalised
  std::vector<AddedToken> normalised_tokens;  ///< and after it
  bool nfc = false;
  std::vector<Pattern> patterns;  ///< split a text into words, one after the other
  BytePairModel model;
  std::optional<int64_t> end;  ///< see Tokenizer::end
};

/// UserError as open_hf_tokenizer says.
HfTokenizer read_hf_tokenizer(std::string_view json, const std::string& where);

}  // namespace rondo
