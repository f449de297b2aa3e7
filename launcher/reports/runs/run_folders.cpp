#include "launcher/reports/runs/run_folders.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iostream>

#include "base/near_path.h"
#include "base/user_error.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;

/// Numbered runs in the order of their numbers.
bool in_order(const fs::path& a, const fs::path& b) {
  const std::string left = a.string();
  const std::string right = b.string();
  return left.size() == right.size() ? left < right : left.size() < right.size();
}

/// The runs in `folder`, itself or up to so many folders below.
std::vector<std::string> runs_in(const std::string& folder, int below) {
  std::error_code unreadable;
  if (fs::exists(folder + "/metrics.jsonl", unreadable)) return {folder};
  if (below == 0 || !fs::is_directory(folder, unreadable)) return {};
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(folder, unreadable)) {
    if (entry.is_directory(unreadable)) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end(), in_order);
  std::vector<std::string> runs;
  for (const fs::path& path : folders) {
    for (std::string& run : runs_in(path.string(), below - 1)) runs.push_back(std::move(run));
  }
  return runs;
}

}  // namespace

std::vector<std::string> run_folders(const std::vector<std::string>& words) {
  std::vector<std::string> runs;
  std::string complaint;
  for (const std::string& word : words) {
    const std::vector<std::string> found = runs_in(word, 2);
    runs.insert(runs.end(), found.begin(), found.end());
    if (!found.empty()) continue;
    complaint = fmt::format(
        "{} has no metrics.jsonl; name the folder of a run, the log.dir of rondo train{}", word,
        fs::exists(word) ? "" : did_you_mean_path(word));
    if (words.size() > 1) std::cerr << fmt::format("rondo: left out: {}\n", complaint);
  }
  if (runs.empty()) throw UserError(words.size() > 1 ? "none of these is a run" : complaint);
  return runs;
}

}  // namespace rondo
