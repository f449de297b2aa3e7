#include "data/tokenizers/byte_alphabet.h"

#include <array>
#include <cstdint>

namespace rondo {
namespace {

constexpr bool is_printable(int byte) {
  return (byte > 0x20 && byte < 0x7F) || (byte > 0xA0 && byte != 0xAD);
}

constexpr int first_free = 0x100;

/// The code point of each byte.
constexpr std::array<int, 256> code_points = [] {
  std::array<int, 256> points = {};
  int next = first_free;
  for (int byte = 0; byte < 256; ++byte) points[byte] = is_printable(byte) ? byte : next++;
  return points;
}();

constexpr int end_of_alphabet = first_free + 68;

/// The byte of each code point, or -1.
constexpr std::array<int, end_of_alphabet> bytes_of = [] {
  std::array<int, end_of_alphabet> bytes = {};
  for (int& byte : bytes) byte = -1;
  for (int byte = 0; byte < 256; ++byte) bytes[code_points[byte]] = byte;
  return bytes;
}();

}  // namespace

std::string byte_letter(unsigned char byte) {
  const int point = code_points[byte];
  if (point < 0x80) return {static_cast<char>(point)};
  return {static_cast<char>(0xC0 | point >> 6), static_cast<char>(0x80 | (point & 0x3F))};
}

std::optional<std::string> from_byte_alphabet(std::string_view letters) {
  std::string bytes;
  for (size_t at = 0; at < letters.size(); ++at) {
    int point = static_cast<unsigned char>(letters[at]);
    if (point >= 0x80) {
      const bool two = (point & 0xE0) == 0xC0 && at + 1 < letters.size();
      if (!two) return std::nullopt;
      point = (point & 0x1F) << 6 | (static_cast<unsigned char>(letters[++at]) & 0x3F);
    }
    if (point >= end_of_alphabet || bytes_of[point] < 0) return std::nullopt;
    bytes += static_cast<char>(bytes_of[point]);
  }
  return bytes;
}

}  // namespace rondo
