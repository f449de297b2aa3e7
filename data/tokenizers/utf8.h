// UTF-8 as The Unicode Standard, table 3-7, defines it.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace rondo {

/// Byte offset of the first sequence that is not well-formed (overlong forms, surrogates and values
/// above U+10FFFF are not), or nothing.
std::optional<size_t> first_invalid_utf8(std::string_view text);

/// Bytes of the well-formed character at the start of `text` (not empty), or 0.
size_t character_size(std::string_view text);

/// Bytes of white space (Unicode's White_Space) that `text` begins with, and ends with.
size_t leading_space(std::string_view text);
size_t trailing_space(std::string_view text);

/// The largest offset <= `at` (<= text.size()) that does not fall inside a character.
size_t character_boundary(std::string_view text, size_t at);

}  // namespace rondo
