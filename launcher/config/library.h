// The files of one or several config folders.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace rondo {

/// Folders that hold rondo.toml and a folder for each group. The first that has a file wins.
class ConfigLibrary {
 public:
  /// `folders` are joined by ':'. Throws UserError for one that is not there.
  explicit ConfigLibrary(const std::string& folders);

  /// Path of rondo.toml. Throws UserError where no folder has it.
  std::string main_file() const;

  /// Path of the file of an option, which `where` asks for. Throws UserError for an unknown group
  /// or option, with the nearest.
  std::string option_file(const std::string& group, const std::string& option,
                          const std::string& where) const;

  /// Sorted.
  std::vector<std::string> groups() const;
  std::vector<std::string> options(const std::string& group) const;
  bool has_group(const std::string& name) const;

  /// Whether one of them is `folder`, by whatever name.
  bool has_folder(const std::string& folder) const;

  /// Path of `relative`, empty when no folder has it.
  std::string find(const std::string& relative) const;

 private:
  std::vector<std::filesystem::path> folders_;
};

}  // namespace rondo
