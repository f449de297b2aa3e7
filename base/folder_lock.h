// One process at a time in a folder.
#pragma once

#include <string>

namespace rondo {

/// An exclusive lock on a file of a folder, held until destruction or the end of the process. On a
/// file system that has no locks it always counts as held.
class FolderLock {
 public:
  /// Makes `file` where it is missing.
  explicit FolderLock(const std::string& file);
  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&&) = delete;
  ~FolderLock();

  /// False where another process has the lock.
  bool held() const { return held_; }
  /// Whether the file is new.
  bool made() const { return made_; }

 private:
  int descriptor_;
  bool made_;
  bool held_;
};

/// The file that stands for `folder`.
inline std::string lock_file(const std::string& folder) { return folder + "/.lock"; }

/// Whether a process, this one or another, has the lock on `file`. Makes no file.
bool is_locked(const std::string& file);

}  // namespace rondo
