#include "checkpoint/format/byte_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace rondo {
namespace {

/// The kernel's calls return -1 and set errno.
template <typename Result>
Result checked(Result result, const std::string& doing) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), doing);
  return result;
}

/// The same for a transfer, which a signal may interrupt before it has begun.
template <typename Transfer>
int64_t transfer(Transfer call, const std::string& doing) {
  ssize_t moved = -1;
  do {
    moved = call();
  } while (moved < 0 && errno == EINTR);
  return checked(moved, doing);
}

}  // namespace

ByteFile::ByteFile(int descriptor, const std::string& doing)
    : descriptor_(checked(descriptor, doing)) {}

ByteFile ByteFile::create(const std::string& path) {
  return {::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), "create"};
}

ByteFile ByteFile::open(const std::string& path) {
  return {::open(path.c_str(), O_RDWR | O_CLOEXEC), "open"};
}

std::optional<ByteFile> ByteFile::open_direct(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC);
  if (descriptor < 0 && errno == EINVAL) return std::nullopt;
  return ByteFile(descriptor, "open");
}

ByteFile ByteFile::open_to_read(const std::string& path) {
  return {::open(path.c_str(), O_RDONLY | O_CLOEXEC), "open"};
}

ByteFile ByteFile::in_memory(std::string& name) {
  name = "/dev/shm/rondo-XXXXXX";
  return {mkostemp(name.data(), O_CLOEXEC), "create in /dev/shm"};
}

ByteFile::ByteFile(ByteFile&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

ByteFile& ByteFile::operator=(ByteFile&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

ByteFile::~ByteFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

int64_t ByteFile::size() const {
  struct stat status = {};
  checked(fstat(descriptor_, &status), "stat");
  return status.st_size;
}

void ByteFile::reserve(int64_t bytes) {
  if (bytes == 0 || fallocate(descriptor_, 0, 0, bytes) == 0 || errno == EOPNOTSUPP) return;
  checked(-1, "reserve");
}

void ByteFile::write(int64_t offset, const void* bytes, int64_t count) {
  const auto* from = static_cast<const char*>(bytes);
  for (int64_t done = 0; done < count;) {
    done += transfer(
        [&] {
          return pwrite(descriptor_, from + done, static_cast<size_t>(count - done), offset + done);
        },
        "write");
  }
}

void ByteFile::read(int64_t offset, void* bytes, int64_t count) const {
  auto* to = static_cast<char*>(bytes);
  for (int64_t done = 0; done < count;) {
    const int64_t got = transfer(
        [&] {
          return pread(descriptor_, to + done, static_cast<size_t>(count - done), offset + done);
        },
        "read");
    if (got == 0) throw std::runtime_error("read: unexpected end of file");
    done += got;
  }
}

void ByteFile::sync() { checked(fsync(descriptor_), "fsync"); }

void ByteFile::sync_folder(const std::string& path) {
  ByteFile(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open").sync();
}

void check_room(const std::string& folder, int64_t bytes) {
  constexpr int64_t mega = 1'000'000;
  rlimit longest = {};
  if (getrlimit(RLIMIT_FSIZE, &longest) == 0 && longest.rlim_cur < static_cast<rlim_t>(bytes)) {
    throw std::system_error(EFBIG, std::generic_category(),
                            fmt::format("it takes {} MB, and ulimit -f allows {} MB a file",
                                        (bytes + mega - 1) / mega, longest.rlim_cur / mega));
  }
  std::error_code unknown;
  const std::filesystem::space_info space = std::filesystem::space(folder, unknown);
  // A file system without a size, such as /proc, says nothing of its room.
  if (unknown || space.capacity == 0 || space.available >= static_cast<uint64_t>(bytes)) return;
  throw std::runtime_error(
      fmt::format("it takes {} MB and the disk of {} has {} MB free; make room, or write to "
                  "another disk",
                  (bytes + mega - 1) / mega, folder, space.available / mega));
}

}  // namespace rondo
