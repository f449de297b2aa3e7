#include "checkpoint/format/seal.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "checkpoint/format/checksum.h"

namespace rondo {
namespace {

constexpr int64_t word = 8;
constexpr int64_t magic = 0x314C4145534E4452;  // "RDNSEAL1"

struct Footer {
  int64_t ranges = 0;
  int64_t checksum = 0;
  int64_t magic = 0;
};

template <typename Value>
Value read_at(const ByteFile& file, int64_t offset) {
  Value value = {};
  file.read(offset, &value, sizeof(value));
  return value;
}

std::string as_bytes(const std::vector<int64_t>& words) {
  return {reinterpret_cast<const char*>(words.data()), words.size() * word};
}

std::vector<int64_t> flat(const ByteRanges& ranges) {
  std::vector<int64_t> list;
  for (const auto& [begin, end] : ranges) list.insert(list.end(), {begin, end});
  return list;
}

int64_t checksum_of(const std::vector<int64_t>& ranges, const std::string& bytes) {
  std::string all = bytes + as_bytes(ranges);
  all.resize((all.size() + word - 1) / word * word, '\0');
  return static_cast<int64_t>(
      checksum(all.data(), word, 0, static_cast<int64_t>(all.size()) / word));
}

/// How long the HDF5 file says it is: the superblock's end-of-file address (HDF5 File Format
/// Specification 3.0, II.A). For files at whose first byte HDF5's part begins.
int64_t length_in_superblock(const ByteFile& file) {
  using Signature = std::array<unsigned char, 8>;
  constexpr Signature signature = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1A, '\n'};
  struct Layout {
    int64_t offset_bytes, base, end;
  };
  constexpr std::array<Layout, 4> versions = {
      Layout{13, 24, 40}, {13, 28, 44}, {9, 12, 28}, {9, 12, 28}};
  const auto version = read_at<uint8_t>(file, signature.size());
  if (read_at<Signature>(file, 0) != signature || version >= versions.size()) return -1;
  const Layout& layout = versions[version];
  const bool plain = read_at<uint8_t>(file, layout.offset_bytes) == word &&
                     read_at<int64_t>(file, layout.base) == 0;
  return plain ? read_at<int64_t>(file, layout.end) : -1;
}

void check_length(const ByteFile& file, int64_t size) {
  const int64_t length = length_in_superblock(file);
  if (length < 0) throw std::runtime_error("its first bytes are not HDF5's");
  if (length == size) return;
  throw std::runtime_error(
      length > size ? fmt::format("it ends at byte {} of {}", size, length)
                    : fmt::format("{} bytes lie after its end that are no seal", size - length));
}

}  // namespace

std::string seal(const ByteRanges& ranges, const std::string& bytes) {
  const std::vector<int64_t> list = flat(ranges);
  const Footer footer{static_cast<int64_t>(ranges.size()), checksum_of(list, bytes), magic};
  return as_bytes(list) + as_bytes({footer.ranges, footer.checksum, footer.magic});
}

bool check_seal(const ByteFile& file) {
  const int64_t size = file.size();
  const int64_t before_footer = size - static_cast<int64_t>(sizeof(Footer));
  if (before_footer < 0) throw std::runtime_error(fmt::format("it has {} bytes", size));
  const auto footer = read_at<Footer>(file, before_footer);
  if (footer.magic != magic) {
    check_length(file, size);
    return false;
  }
  const std::runtime_error broken("its metadata does not match its seal");
  if (footer.ranges < 1 || footer.ranges > before_footer / (2 * word)) throw broken;
  std::vector<int64_t> list(static_cast<size_t>(2 * footer.ranges));
  const int64_t end = before_footer - 2 * word * footer.ranges;
  file.read(end, list.data(), 2 * word * footer.ranges);
  if (list.front() != 0 || list.back() != end || !std::is_sorted(list.begin(), list.end())) {
    throw broken;
  }
  std::string bytes;
  for (size_t i = 0; i < list.size(); i += 2) {
    const int64_t count = list[i + 1] - list[i];
    bytes.resize(bytes.size() + static_cast<size_t>(count));
    file.read(list[i], bytes.data() + bytes.size() - count, count);
  }
  if (checksum_of(list, bytes) != footer.checksum) throw broken;
  return true;
}

}  // namespace rondo
