// What a tokenizer.json says.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizers/added_tokens.h"
#include "data/tokenizers/byte_pairs.h"
#include "data/tokenizers/text_steps.h"

namespace rondo {

/// A tokenizer.json in steps, bytes and ids.
struct HfTokenizer {
  std::vector<std::string> pieces;            ///< the bytes of each id; empty where there is none
  std::vector<AddedToken> raw_tokens;         ///< looked for before the text is normalised
  std::vector<AddedToken> normalised_tokens;  ///< and after it
  std::vector<Normalizer> normalizers;
  std::vector<WordStep> word_steps;
  BytePairModel model;
  std::optional<int64_t> end;  ///< see Tokenizer::end
};

/// UserError as open_hf_tokenizer says.
HfTokenizer read_hf_tokenizer(std::string_view json, const std::string& where);

}  // namespace rondo
