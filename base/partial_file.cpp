#include "base/partial_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/partial_path.h"
#include "base/user_error.h"

namespace rondo {

PartialFile::PartialFile(std::string path) : path_(std::move(path)) {
  const std::string partial = partial_path(path_, getpid());
  remove_abandoned(path_);
  stream_.open(partial, std::ios::binary | std::ios::trunc);
  check();
  partial_ = partial;
}

PartialFile::~PartialFile() {
  if (!partial_.empty()) std::remove(partial_.c_str());
}

void PartialFile::write(std::string_view bytes) {
  stream_.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  check();
}

void PartialFile::close() {
  if (stream_.is_open()) stream_.close();
  check();
}

void PartialFile::publish() {
  close();
  if (std::rename(partial_.c_str(), path_.c_str()) != 0) {
    throw UserError(fmt::format("{}: cannot write: {}", path_, std::strerror(errno)));
  }
  partial_.clear();
}

void PartialFile::check() const {
  if (!stream_) throw UserError(fmt::format("{}: cannot write: {}", path_, std::strerror(errno)));
}

void write_whole(const std::string& path, const std::string& text) {
  PartialFile file(path);
  file.write(text);
  file.publish();
}

}  // namespace rondo
