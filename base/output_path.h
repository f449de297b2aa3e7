// What is asked of a name before a file is written under it.
#pragma once

#include <filesystem>
#include <string>

#include "base/user_error.h"

namespace rondo {

/// Whether `path` names what only passes text on, such as /dev/stdout.
inline bool is_device(const std::string& path) { return path.starts_with("/dev/"); }

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

/// The same, and where `path` does not end in `extension` (with its dot): so a slip does not
/// overwrite a checkpoint or the metrics of a run. A device may have any name.
inline void check_output_path(const std::string& option, const std::string& path,
                              const std::string& extension) {
  check_output_path(option, path);
  if (is_device(path) || path.ends_with(extension)) return;
  throw UserError(option + " " + path + ": what is written there needs a name that ends in " +
                  extension);
}

}  // namespace rondo
