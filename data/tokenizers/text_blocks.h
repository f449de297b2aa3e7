// Long texts in pieces that are encoded one after the other.
#pragma once

#include <cstddef>
#include <functional>
#include <string_view>
#include <vector>

#include "data/tokenizers/tokenizer.h"

namespace rondo {

constexpr size_t block_bytes = size_t{1} << 16;

/// The first block of `text`: up to a line's end, or before a space, where `tokenizer` makes the
/// same of both sides together as of each alone, so that the tokens are those of the whole text. It
/// is at most `block_bytes` long where such a place is found so early, and else twice, four times …
/// that, or the whole text.
std::string_view next_block(std::string_view text, const Tokenizer& tokenizer);

/// Encodes `text` block by block: calls `sink` with each block and its tokens, which together are
/// those of one call over the whole text.
void encode_text(
    std::string_view text, const Tokenizer& tokenizer,
    const std::function<void(std::string_view block, const std::vector<int64_t>& tokens)>& sink);

}  // namespace rondo
