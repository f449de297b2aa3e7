// Tokenizers of Hugging Face: BPE in a tokenizer.json.
#pragma once

#include <string>
#include <string_view>

#include "data/tokenizers/tokenizer.h"

namespace rondo {

/// `json` is the contents of a tokenizer.json whose model is BPE over bytes (its last pre-tokeniser
/// is ByteLevel) or characters, with bytes for those that have no piece: the pre-tokenisers Split,
/// Digits and Metaspace, added tokens, the normalisers NFC, Prepend and Replace. Its post-processor
/// (which puts a begin-of-text in front) is not applied: documents are packed end to end, and who
/// wants such a token writes it into the text. Nor are its truncation and padding. As there, a byte
/// that has no piece becomes the unknown token, or is left out where there is none: SmolLM2 cannot
/// write some control characters. UserError, which names `where`, for everything else.
Tokenizer open_hf_tokenizer(std::string_view json, const std::string& where);

}  // namespace rondo
