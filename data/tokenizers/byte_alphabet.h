// Bytes as printable characters, the way byte-level BPE writes its vocabulary.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace rondo {

/// The character for a byte, in UTF-8: itself where Latin-1 prints it, else the next one free from
/// U+0100 on, so that a space is Ġ and a line feed Ċ. Source: bytes_to_unicode of GPT-2.
std::string byte_letter(unsigned char byte);

/// The bytes that such characters stand for; nothing when one of them stands for none.
std::optional<std::string> from_byte_alphabet(std::string_view letters);

}  // namespace rondo
