// A tokenizer.json of a few pieces, as JSON to be bent.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "data/tokenizers/byte_alphabet.h"

namespace rondo {

/// All bytes (id = byte), "he" 256, "hel" 257, "ll" 258, "lo" 259, " t" 260 and <|endoftext|> 261;
/// words as GPT-2 makes them, with each digit apart.
inline nlohmann::json small_tokenizer() {
  nlohmann::json vocab;
  for (int byte = 0; byte < 256; ++byte)
    vocab[byte_letter(static_cast<unsigned char>(byte))] = byte;
  int64_t next = 256;
  for (const char* piece : {"he", "hel", "ll", "lo", "Ġt"}) vocab[piece] = next++;
  auto root = nlohmann::json::parse(R"({
    "normalizer": null,
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
      {"type": "Digits", "individual_digits": true},
      {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}]},
    "post_processor": null,
    "added_tokens": [
      {"id": 261, "content": "<|endoftext|>", "special": true, "normalized": false}],
    "model": {"type": "BPE",
      "merges": [["l", "l"], ["h", "e"], ["l", "o"], ["he", "l"], ["Ġ", "t"]]}})");
  root["model"]["vocab"] = vocab;
  return root;
}

}  // namespace rondo
