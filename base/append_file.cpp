#include "base/append_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "base/user_error.h"

namespace rondo {

AppendFile::AppendFile(std::string path)
    : path_(std::move(path)),
      descriptor_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666)),
      end_(descriptor_ < 0 ? -1 : ::lseek(descriptor_, 0, SEEK_END)) {
  if (descriptor_ >= 0) return;
  throw UserError(fmt::format("cannot write {}: {}; make its folder writable, or choose another",
                              path_, std::generic_category().message(errno)));
}

AppendFile::AppendFile(AppendFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      end_(other.end_),
      waiting_(std::move(other.waiting_)),
      reason_(std::move(other.reason_)) {}

AppendFile::~AppendFile() {
  if (descriptor_ < 0) return;
  flush();
  ::close(descriptor_);
}

bool AppendFile::append(std::string_view record) {
  waiting_ += record;
  return flush();
}

bool AppendFile::flush() {
  size_t done = 0;
  while (done < waiting_.size()) {
    const ssize_t written = ::pwrite(descriptor_, waiting_.data() + done, waiting_.size() - done,
                                     end_ + static_cast<int64_t>(done));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      reason_ = std::generic_category().message(written < 0 ? errno : ENOSPC);
      // A part of a record must not stay. Where this fails too, the next try writes over it.
      [[maybe_unused]] const int cut = ::ftruncate(descriptor_, end_);
      return false;
    }
    done += static_cast<size_t>(written);
  }
  end_ += static_cast<int64_t>(done);
  waiting_.clear();
  return true;
}

}  // namespace rondo
