#include "launcher/reports/tensorboard.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <chrono>
#include <system_error>

#include "base/user_error.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;

constexpr std::array<uint32_t, 256> make_crc_table() {
  constexpr uint32_t reflected_polynomial = 0x82f63b78;
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < table.size(); ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1) ^ ((crc & 1) != 0 ? reflected_polynomial : 0);
    }
    table[byte] = crc;
  }
  return table;
}

/// TFRecord stores checksums rotated and shifted, since the checksum of data that holds its own
/// checksum is weak.
uint32_t masked(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8; }

std::string little_endian(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) {
    text.push_back(static_cast<char>((value >> (8 * i)) & 0xff));
  }
  return text;
}

double unix_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string file_name() {
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  return fmt::format("events.out.tfevents.{:010}.{}.{}", static_cast<int64_t>(unix_time()),
                     host.data(), getpid());
}

// The part of the protocol buffer encoding that an event needs. It is written out here, since
// Debian's libsentencepiece exports an older protobuf of its own and no program can link both.
// Field numbers are those of tensorflow.Event, tensorflow.Summary and tensorflow.SessionLog.

enum class Wire : uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

std::string varint(uint64_t value) {
  std::string text;
  for (; value >= 0x80; value >>= 7) text.push_back(static_cast<char>(value | 0x80));
  text.push_back(static_cast<char>(value));
  return text;
}

std::string key(uint64_t field, Wire wire) {
  return varint(field << 3 | static_cast<uint64_t>(wire));
}

std::string bytes_field(uint64_t field, std::string_view content) {
  return key(field, Wire::bytes) + varint(content.size()) + std::string(content);
}

std::string event_of(int64_t step, const std::string& content) {
  return key(1, Wire::fixed64) + little_endian(std::bit_cast<uint64_t>(unix_time()), 8) +
         key(2, Wire::varint) + varint(static_cast<uint64_t>(step)) + content;
}

/// The path of a file that is not there yet; makes the folder.
std::string made_in(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  return (folder / file_name()).string();
}

/// Summary.Value: tag = 1, simple_value = 2.
std::string encode(const Scalar& scalar) {
  const auto bits = std::bit_cast<uint32_t>(static_cast<float>(scalar.value));
  return bytes_field(1, scalar.tag) + key(2, Wire::fixed32) + little_endian(bits, 4);
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static constexpr std::array<uint32_t, 256> table = make_crc_table();
  uint32_t crc = ~uint32_t{0};
  for (const char byte : bytes) {
    crc = (crc >> 8) ^ table[(crc ^ static_cast<unsigned char>(byte)) & 0xff];
  }
  return ~crc;
}

std::string tf_record(std::string_view payload) {
  const std::string length = little_endian(payload.size(), 8);
  return length + little_endian(masked(crc32c(length)), 4) + std::string(payload) +
         little_endian(masked(crc32c(payload)), 4);
}

EventFile::EventFile(const fs::path& folder, int64_t first_step) : out_(made_in(folder)) {
  const std::string session_start = key(1, Wire::varint) + varint(1);
  out_.append(tf_record(event_of(0, bytes_field(3, "brain.Event:2"))));
  if (out_.append(tf_record(event_of(first_step, bytes_field(7, session_start))))) return;
  throw UserError(fmt::format("cannot write {}: {}; make room, or set log.tensorboard=false",
                              out_.path(), out_.reason()));
}

bool EventFile::add(int64_t step, const std::vector<Scalar>& scalars) {
  std::string summary;
  for (const Scalar& scalar : scalars) summary += bytes_field(1, encode(scalar));
  return out_.append(tf_record(event_of(step, bytes_field(5, summary))));
}

bool EventFile::add_text(int64_t step, const std::string& tag, const std::string& text) {
  // Summary.Value: tag = 1, tensor = 8, metadata = 9 with the plugin's name. TensorProto: dtype = 1
  // (7: strings), tensor_shape = 2 of one dimension of size 1, string_val = 8.
  const std::string dimension = key(1, Wire::varint) + varint(1);
  const std::string tensor = key(1, Wire::varint) + varint(7) +
                             bytes_field(2, bytes_field(2, dimension)) + bytes_field(8, text);
  const std::string metadata = bytes_field(1, bytes_field(1, "text"));
  const std::string value = bytes_field(1, tag) + bytes_field(8, tensor) + bytes_field(9, metadata);
  return out_.append(tf_record(event_of(step, bytes_field(5, bytes_field(1, value)))));
}

bool EventFile::add_image(int64_t step, const std::string& tag, const Picture& picture) {
  // Summary.Image: height = 1, width = 2, colorspace = 3 (3: RGB), encoded_image_string = 4.
  const auto number = [](uint64_t field, int value) {
    return key(field, Wire::varint) + varint(static_cast<uint64_t>(value));
  };
  const std::string image = number(1, picture.height) + number(2, picture.width) + number(3, 3) +
                            bytes_field(4, picture.png);
  const std::string value = bytes_field(1, tag) + bytes_field(4, image);
  return out_.append(tf_record(event_of(step, bytes_field(5, bytes_field(1, value)))));
}

}  // namespace rondo
