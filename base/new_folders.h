// Folders and files that a start makes, and takes back when it fails.
#pragma once

#include <filesystem>
#include <vector>

namespace rondo {

/// Until `keep`, the destructor removes what was made here: files, and folders that are still
/// empty. What was there before, or what somebody else has put there meanwhile, stays.
class NewFolders {
 public:
  NewFolders() = default;
  NewFolders(const NewFolders&) = delete;
  NewFolders& operator=(const NewFolders&) = delete;
  ~NewFolders();

  /// Makes `folder` and those above it that are missing. Returns whether it can be written into.
  bool make(const std::filesystem::path& folder);
  /// A file that the caller has just made.
  void add_file(const std::filesystem::path& file) { files_.push_back(file); }
  void keep();

 private:
  std::vector<std::filesystem::path> folders_;  ///< in the order in which they were made
  std::vector<std::filesystem::path> files_;
};

}  // namespace rondo
