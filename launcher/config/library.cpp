#include "launcher/config/library.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "base/near_path.h"
#include "base/nearest.h"
#include "base/user_error.h"
#include "base/user_path.h"

namespace rondo {

namespace fs = std::filesystem;

ConfigLibrary::ConfigLibrary(const std::string& folders) {
  std::istringstream list(folders);
  for (std::string folder; std::getline(list, folder, ':');) {
    if (const auto complaint = expand_path(folder)) {
      throw UserError(fmt::format("config folder '{}': {}", folder, *complaint));
    }
    if (!fs::is_directory(folder)) {
      throw UserError(fmt::format(
          "there is no config folder '{}'; name one with --config-dir or RONDO_CONFIGS{}", folder,
          did_you_mean_path(folder)));
    }
    folders_.emplace_back(folder);
  }
}

std::string ConfigLibrary::find(const std::string& relative) const {
  for (const fs::path& folder : folders_) {
    if (fs::is_regular_file(folder / relative)) return (folder / relative).string();
  }
  return "";
}

bool ConfigLibrary::has_folder(const std::string& folder) const {
  return std::any_of(folders_.begin(), folders_.end(), [&](const fs::path& own) {
    std::error_code unreadable;
    return fs::equivalent(own, folder, unreadable);
  });
}

std::string ConfigLibrary::main_file() const {
  const std::string found = find("rondo.toml");
  if (!found.empty()) return found;
  std::vector<std::string> names;
  for (const fs::path& folder : folders_) names.push_back(folder.string());
  throw UserError(
      fmt::format("no rondo.toml in '{}'; name a config folder with --config-dir or RONDO_CONFIGS",
                  fmt::join(names, ":")));
}

std::string ConfigLibrary::option_file(const std::string& group, const std::string& option,
                                       const std::string& where) const {
  const std::string path = find(group + "/" + option + ".toml");
  if (!path.empty()) return path;
  const std::vector<std::string> known = options(group);
  if (known.empty()) {
    const std::vector<std::string> all = groups();
    const std::string guess = did_you_mean(group, all, "; ");
    throw UserError(
        fmt::format("{}: {} is not a group{}", where, group,
                    guess.empty() ? fmt::format("; groups: {}", fmt::join(all, ", ")) : guess));
  }
  const std::string guess = did_you_mean(option, known, " ");
  throw UserError(fmt::format("{}: group {} has no option {};{} options: {}", where, group, option,
                              guess, fmt::join(known, ", ")));
}

std::vector<std::string> ConfigLibrary::groups() const {
  std::set<std::string> names;
  for (const fs::path& folder : folders_) {
    if (!fs::is_directory(folder)) continue;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
      if (entry.is_directory()) names.insert(entry.path().filename().string());
    }
  }
  return {names.begin(), names.end()};
}

std::vector<std::string> ConfigLibrary::options(const std::string& group) const {
  std::set<std::string> names;
  for (const fs::path& folder : folders_) {
    if (!fs::is_directory(folder / group)) continue;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder / group)) {
      if (entry.path().extension() == ".toml") names.insert(entry.path().stem().string());
    }
  }
  return {names.begin(), names.end()};
}

bool ConfigLibrary::has_group(const std::string& name) const {
  const std::vector<std::string> all = groups();
  return std::find(all.begin(), all.end(), name) != all.end();
}

}  // namespace rondo
