// Long texts in pieces that can be encoded one after the other.
#pragma once

#include <cstddef>
#include <string_view>

#include "data/tokenizers/tokenizer.h"

namespace rondo {

constexpr size_t block_bytes = size_t{1} << 16;

/// The first block of `text`, at most `block_bytes` long: up to a line feed, or before a space,
/// where `tokenizer` makes the same of both sides together as of each alone, so that the tokens are
/// those of the whole text. Where it shows no such place, as SentencePiece models do that begin
/// each text with a space, up to the last line feed, or whole characters of a longer line.
std::string_view next_block(std::string_view text, const Tokenizer& tokenizer);

}  // namespace rondo
