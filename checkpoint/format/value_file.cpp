#include "checkpoint/format/value_file.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <system_error>
#include <utility>

namespace rondo {
namespace {

/// Offsets, lengths and addresses of direct writes are multiples of this on any common disk.
constexpr int64_t alignment = 4096;
/// Large enough for the disk to be busy, small enough for the processor's cache.
constexpr int64_t block_bytes = int64_t{1} << 22;
/// Below this, two ends through the cache are not worth it.
constexpr int64_t least_direct = int64_t{1} << 16;

int64_t up(int64_t offset) { return (offset + alignment - 1) / alignment * alignment; }
int64_t down(int64_t offset) { return offset / alignment * alignment; }

}  // namespace

void ValueFile::Free::operator()(void* memory) const { std::free(memory); }

ValueFile::ValueFile(ByteFile cached, const std::string& path)
    : cached_(std::move(cached)), direct_(ByteFile::open_direct(path)) {}

ValueFile ValueFile::create(const std::string& path, int64_t bytes) {
  ByteFile file = ByteFile::create(path);
  file.reserve(bytes);
  return {std::move(file), path};
}

ValueFile ValueFile::open(const std::string& path) { return {ByteFile::open(path), path}; }

void ValueFile::write(int64_t offset, const void* bytes, int64_t count) {
  const auto* from = static_cast<const char*>(bytes);
  const int64_t begin = up(offset);
  const int64_t end = down(offset + count);
  if (!direct_ || end - begin < least_direct) return cached_.write(offset, from, count);
  cached_.write(offset, from, begin - offset);
  write_around(begin, from + (begin - offset), end - begin);
  cached_.write(end, from + (end - offset), offset + count - end);
}

void ValueFile::write_around(int64_t offset, const char* bytes, int64_t count) {
  if (!block_) block_.reset(static_cast<char*>(std::aligned_alloc(alignment, block_bytes)));
  if (!block_) throw std::bad_alloc();
  for (int64_t done = 0; done < count; done += block_bytes) {
    const int64_t length = std::min(block_bytes, count - done);
    std::memcpy(block_.get(), bytes + done, static_cast<size_t>(length));
    try {
      direct_->write(offset + done, block_.get(), length);
    } catch (const std::system_error& error) {
      if (error.code() != std::errc::invalid_argument) throw;
      direct_.reset();  // a disk of larger blocks
      return cached_.write(offset + done, bytes + done, count - done);
    }
  }
}

}  // namespace rondo
