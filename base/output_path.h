// What is asked of a name before a file is written under it.
#pragma once

#include <filesystem>
#include <string>

#include "base/user_error.h"

namespace rondo {

/// Throws UserError when `path`, the value of the command line's `option`, names a folder, or a
/// file in a folder that does not exist.
inline void check_output_path(const std::string& option, const std::string& path) {
  const std::filesystem::path whole(path);
  const std::filesystem::path folder = whole.parent_path();
  if (whole.filename().empty() || std::filesystem::is_directory(whole)) {
    throw UserError(option + " " + path + ": names a folder; add a file name");
  }
  if (!folder.empty() && !std::filesystem::is_directory(folder)) {
    throw UserError(option + " " + path + ": the folder " + folder.string() +
                    " does not exist; create it first");
  }
}

}  // namespace rondo
