#include "base/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace rondo {
namespace {

bool refuses(int descriptor, int kind) {
  return descriptor >= 0 && flock(descriptor, kind | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

}  // namespace

FolderLock::FolderLock(const std::string& file)
    : descriptor_(open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666)),
      made_(descriptor_ >= 0) {
  if (!made_) descriptor_ = open(file.c_str(), O_RDWR | O_CLOEXEC);
  held_ = !refuses(descriptor_, LOCK_EX);
}

FolderLock::FolderLock(FolderLock&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), made_(other.made_), held_(other.held_) {}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

bool is_locked(const std::string& file) {
  const int descriptor = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  const bool locked = refuses(descriptor, LOCK_SH);
  if (descriptor >= 0) close(descriptor);
  return locked;
}

}  // namespace rondo
