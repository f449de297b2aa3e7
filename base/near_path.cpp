#include "base/near_path.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "base/nearest.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;

/// Names that are read of a folder, at most: this is only a suggestion.
constexpr size_t most_names = 10000;

/// A dot means a table of keys to `near`, which takes the last word of "a.b" for the name.
std::string without_dots(std::string name) {
  std::replace(name.begin(), name.end(), '.', '/');
  return name;
}

/// An entry of the folder, "" being the current one.
std::optional<std::string> near_entry(const fs::path& folder, const std::string& name) {
  std::vector<std::string> names;
  std::vector<std::string> words;
  std::error_code unreadable;
  const fs::path where = folder.empty() ? "." : folder;
  for (auto entry = fs::directory_iterator(where, unreadable);
       !unreadable && entry != fs::end(entry) && names.size() < most_names;
       entry.increment(unreadable)) {
    names.push_back(entry->path().filename().string());
    words.push_back(without_dots(names.back()));
  }
  const std::optional<std::string> word = near(without_dots(name), words);
  if (!word) return std::nullopt;
  return names[std::find(words.begin(), words.end(), *word) - words.begin()];
}

}  // namespace

std::optional<std::string> near_path(const std::string& path) {
  fs::path found;
  for (const fs::path& name : fs::path(path)) {
    std::error_code unreadable;
    if (fs::exists(found / name, unreadable)) {
      found /= name;
    } else if (const auto entry = near_entry(found, name.string())) {
      found /= *entry;
    } else {
      return std::nullopt;
    }
  }
  return found == path ? std::nullopt : std::optional(found.string());
}

std::string did_you_mean_path(const std::string& path) {
  const std::optional<std::string> found = near_path(path);
  return found ? fmt::format("; did you mean {}?", *found) : "";
}

}  // namespace rondo
