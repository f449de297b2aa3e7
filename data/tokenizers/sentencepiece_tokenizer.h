// SentencePiece models: opening and training.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "data/tokenizers/tokenizer.h"

namespace rondo {

/// `model` is the contents of a .model file; UserError, which names `where`, when it is not.
Tokenizer open_sentencepiece(std::string_view model, const std::string& where);

/// See train_tokenizer.
void train_sentencepiece(const std::string& path, int64_t vocab, int64_t bytes,
                         const EachText& texts);

}  // namespace rondo
