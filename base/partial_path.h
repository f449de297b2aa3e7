// Names of files in the making.
#pragma once

#include <signal.h>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace rondo {

/// Where process `process` writes `path` until it is complete: two that write the same file do not
/// meet, and the last rename stands.
inline std::string partial_path(const std::string& path, int64_t process) {
  return path + "." + std::to_string(process) + ".partial";
}

/// Removes what writers of `path` left that were killed: of this machine, no process has their
/// number any more.
inline void remove_abandoned(const std::string& path) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::path(path).parent_path();
  const std::string before = fs::path(path).filename().string() + ".";
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder.empty() ? "." : folder, none)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(before)) continue;
    pid_t process = 0;
    const char* last = name.data() + name.size();
    const auto [rest, error] = std::from_chars(name.data() + before.size(), last, process);
    if (error != std::errc() || process < 1 || std::string_view(rest, last) != ".partial") continue;
    if (kill(process, 0) != 0 && errno == ESRCH) fs::remove_all(entry.path(), none);
  }
}

}  // namespace rondo
