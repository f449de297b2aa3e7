// UTF-8 as The Unicode Standard, table 3-7, defines it.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace rondo {

/// Byte offset of the first sequence that is not well-formed (overlong forms, surrogates and values
/// above U+10FFFF are not), or nothing.
std::optional<size_t> first_invalid_utf8(std::string_view text);

/// The largest offset <= `at` (<= text.size()) that does not fall inside a character.
size_t character_boundary(std::string_view text, size_t at);

}  // namespace rondo
