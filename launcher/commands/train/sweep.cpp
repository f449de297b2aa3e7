#include "launcher/commands/train/sweep.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/partial_file.h"
#include "base/user_error.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;

/// A line of overrides for each run.
std::string identity_file(const std::string& folder) { return folder + "/sweep.txt"; }

/// Where a run pauses does not change what it is.
bool is_pause(const std::string& word) {
  return word.starts_with("train.exit_at_step=") || word.starts_with("train.exit_after=");
}

std::string identity(SweepRuns runs) {
  std::string text;
  for (std::vector<std::string>& run : runs) {
    std::erase_if(run, is_pause);
    text += fmt::format("{}\n", fmt::join(run, " "));
  }
  return text;
}

/// Empty where no sweep has claimed the folder.
std::string owner(const std::string& folder) {
  std::ifstream file(identity_file(folder));
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

bool chooses_log_dir(const std::string& word) {
  return word.starts_with("log.dir=") || word.starts_with("+log.dir=");
}

std::string numbered_sweep_folder(const std::string& below, const SweepRuns& runs) {
  for (int number = 0;; ++number) {
    std::string folder = fmt::format("{}/{}", below, number);
    if (!fs::exists(folder) || owner(folder) == identity(runs)) return folder;
  }
}

std::string set_run_folders(Config& config, const std::vector<std::string>& overrides,
                            const std::string& own, size_t number) {
  const bool chosen = std::any_of(overrides.begin(), overrides.end(), chooses_log_dir);
  const std::string folder = chosen ? config.log.dir : own;
  config.log.dir = fmt::format("{}/{}", folder, number);
  if (!config.checkpoint.dir.empty()) {
    const fs::path below = chosen ? fs::path() : fs::path(own).filename();
    config.checkpoint.dir = (config.checkpoint.dir / below / fmt::format("{}", number)).string();
  }
  return folder;
}

void check_sweep_folder(const std::string& folder, const SweepRuns& runs) {
  const std::string other = owner(folder);
  if (other.empty() || other == identity(runs)) return;
  throw UserError(
      fmt::format("log.dir = \"{}\" holds another sweep, whose first run is '{}'; choose another "
                  "log.dir, or leave it out for a new folder below multirun/",
                  folder, other.substr(0, other.find('\n'))));
}

void claim_sweep_folder(const std::string& folder, const SweepRuns& runs, NewFolders& made) {
  if (!made.make(folder)) {
    throw UserError(fmt::format("cannot make the folder {}: {}; choose another with log.dir",
                                folder, std::strerror(errno)));
  }
  if (owner(folder) == identity(runs)) return;
  write_whole(identity_file(folder), identity(runs));
  made.add_file(identity_file(folder));
}

}  // namespace rondo
