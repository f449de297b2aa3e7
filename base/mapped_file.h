// A whole file as read-only memory.
#pragma once

#include <time.h>

#include <memory>
#include <string>
#include <string_view>

namespace rondo {

/// Maps a regular file for reading. Copies share the mapping, which lives as long as the last copy.
/// Reading what has been cut off since, or what the disk cannot give, raises SIGBUS: see
/// `mapped_path_at`.
class MappedFile {
 public:
  /// Throws UserError when `path` is missing, unreadable or not a regular file. An empty file gives
  /// an empty view.
  explicit MappedFile(const std::string& path);

  std::string_view view() const { return {data_.get(), size_}; }
  size_t size() const { return size_; }
  /// Whether somebody has written to the file since.
  bool has_changed() const;

 private:
  std::string path_;
  timespec written_ = {};  ///< last before it was mapped
  std::shared_ptr<const char> data_;
  size_t size_ = 0;
};

/// The path of the mapping that holds `address`; empty where none does. For a handler of SIGBUS:
/// whoever reads a mapping holds no lock of this file.
std::string mapped_path_at(const void* address);

}  // namespace rondo
