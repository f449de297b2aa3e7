#include "base/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace rondo {

FolderLock::FolderLock(const std::string& file)
    : descriptor_(open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666)),
      made_(descriptor_ >= 0) {
  if (!made_) descriptor_ = open(file.c_str(), O_RDWR | O_CLOEXEC);
  const bool refused =
      descriptor_ >= 0 && flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  held_ = !refused;
}

FolderLock::FolderLock(FolderLock&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), made_(other.made_), held_(other.held_) {}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

}  // namespace rondo
