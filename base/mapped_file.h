// A whole file as read-only memory.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace rondo {

/// Maps a regular file for reading. Copies share the mapping, which lives as long as the last copy.
class MappedFile {
 public:
  /// Throws UserError when `path` is missing, unreadable or not a regular file. An empty file gives
  /// an empty view.
  explicit MappedFile(const std::string& path);

  std::string_view view() const { return {data_.get(), size_}; }
  size_t size() const { return size_; }

 private:
  std::shared_ptr<const char> data_;
  size_t size_ = 0;
};

}  // namespace rondo
