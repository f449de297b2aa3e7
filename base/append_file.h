// A log that outlives a full disk.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace rondo {

/// A file that grows by whole records. What the disk refuses is kept in memory and tried again with
/// the next record, so that no record is lost while the disk may still be emptied, and none is
/// torn.
class AppendFile {
 public:
  /// Opens `path`, or makes it. Throws UserError that names it.
  explicit AppendFile(std::string path);
  AppendFile(AppendFile&& other) noexcept;
  AppendFile& operator=(AppendFile&&) = delete;
  ~AppendFile();

  /// Returns whether this record and all before it are with the system.
  bool append(std::string_view record);
  /// Tries again. Returns the same.
  bool flush();

  /// Why the last try failed, in the system's words.
  const std::string& reason() const { return reason_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  int descriptor_;
  int64_t end_;          ///< of the last record that is in the file
  std::string waiting_;  ///< records after it
  std::string reason_;
};

}  // namespace rondo
