// Fields of a serialized protobuf message, where no more of protobuf is needed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace rondo {

/// Calls `use` with the number and the bytes of each field of `message` that has bytes (strings and
/// messages); others, and what follows a damage, are passed over.
inline void each_field(std::string_view message,
                       const std::function<void(uint64_t number, std::string_view bytes)>& use) {
  const auto varint = [&] {
    uint64_t value = 0;
    for (int shift = 0; !message.empty() && shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(message.front());
      message.remove_prefix(1);
      value |= uint64_t{byte & 0x7FU} << shift;
      if (byte < 0x80) break;
    }
    return value;
  };
  while (!message.empty()) {
    const uint64_t tag = varint();
    uint64_t size = 0;
    switch (tag & 7) {
      case 0:
        varint();
        break;
      case 1:
        size = 8;
        break;
      case 2:
        size = varint();
        break;
      case 5:
        size = 4;
        break;
      default:
        return;
    }
    if (size > message.size()) return;
    if ((tag & 7) == 2) use(tag >> 3, message.substr(0, size));
    message.remove_prefix(size);
  }
}

/// One such field.
inline std::string proto_field(uint64_t number, std::string_view bytes) {
  std::string field;
  for (uint64_t value : {number << 3 | 2, uint64_t{bytes.size()}}) {
    for (; value >= 0x80; value >>= 7) field += static_cast<char>(value | 0x80);
    field += static_cast<char>(value);
  }
  return field.append(bytes);
}

/// Where a SentencePiece model keeps tokens that were added to it, as a list in the JSON of
/// tokenizer.json's `added_tokens`. ModelProto leaves fields from 200 on to others.
inline constexpr uint64_t added_tokens_field = 200;
inline constexpr uint64_t pieces_field = 1;  ///< of ModelProto; in it the piece's text is field 1

}  // namespace rondo
