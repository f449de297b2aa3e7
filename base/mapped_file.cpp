#include "base/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>

#include "base/near_path.h"
#include "base/user_error.h"

namespace rondo {
namespace {

struct Descriptor {
  int number;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
};

/// A mapping, by the address after its last byte.
struct Mapping {
  const char* begin;
  std::string path;
};

std::mutex mappings_mutex;

std::map<const char*, Mapping>& mappings() {
  static std::map<const char*, Mapping> all;
  return all;
}

void remember(const char* begin, size_t size, const std::string& path) {
  const std::scoped_lock lock(mappings_mutex);
  mappings()[begin + size] = {begin, path};
}

void unmap(const char* begin, size_t size) {
  {
    const std::scoped_lock lock(mappings_mutex);
    mappings().erase(begin + size);
  }
  ::munmap(const_cast<char*>(begin), size);
}

[[noreturn]] void fail(const std::string& path, const char* deed) {
  const int reason = errno;
  throw UserError(fmt::format("{}: cannot {}: {}{}", path, deed, std::strerror(reason),
                              reason == ENOENT ? did_you_mean_path(path) : ""));
}

}  // namespace

MappedFile::MappedFile(const std::string& path) {
  // Without O_NONBLOCK the open of a pipe would wait for its writer.
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.number < 0) fail(path, "open");
  struct stat status {};
  if (::fstat(file.number, &status) != 0) fail(path, "open");
  if (!S_ISREG(status.st_mode)) {
    throw UserError(fmt::format("{}: not a regular file; give the path of a file", path));
  }
  path_ = path;
  written_ = status.st_mtim;
  size_ = static_cast<size_t>(status.st_size);
  if (size_ == 0) return;
  void* address = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.number, 0);
  if (address == MAP_FAILED) fail(path, "map into memory");
  data_ = std::shared_ptr<const char>(static_cast<const char*>(address),
                                      [size = size_](const char* begin) { unmap(begin, size); });
  remember(data_.get(), size_, path);
}

bool MappedFile::has_changed() const {
  struct stat status {};
  if (::stat(path_.c_str(), &status) != 0) return true;
  return status.st_mtim.tv_sec != written_.tv_sec || status.st_mtim.tv_nsec != written_.tv_nsec;
}

std::string mapped_path_at(const void* address) {
  const std::scoped_lock lock(mappings_mutex);
  const auto found = mappings().upper_bound(static_cast<const char*>(address));
  if (found == mappings().end() || found->second.begin > address) return "";
  return found->second.path;
}

}  // namespace rondo
