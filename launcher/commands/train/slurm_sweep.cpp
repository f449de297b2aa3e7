#include "launcher/commands/train/slurm_sweep.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <iterator>
#include <sstream>

#include "base/counted.h"
#include "base/nearest.h"
#include "base/program_words.h"
#include "base/run_error.h"
#include "base/user_error.h"
#include "launcher/commands/source_files.h"
#include "launcher/commands/train/sweep.h"
#include "launcher/config/compose.h"
#include "launcher/config/config.h"
#include "launcher/config/override.h"

namespace rondo {
namespace {

constexpr const char* key = "launcher";
constexpr const char* options_key = "launcher.sbatch";

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream words(text);
  return {std::istream_iterator<std::string>(words), {}};
}

/// Runs a program without a shell and waits for it. Throws RunError where it fails.
void run_program(std::vector<std::string> words) {
  const std::vector<char*> call = program_words(words);
  std::cout << std::flush;
  const pid_t child = fork();
  if (child == 0) {
    execvp(call[0], call.data());
    std::cerr << fmt::format("rondo: {}: {}\n", words[0], std::strerror(errno)) << std::flush;
    _exit(127);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0) {
    throw RunError(fmt::format("{} did not take the sweep; nothing is submitted", words[0]));
  }
}

/// The sweep's words with a folder of its own, if the user chose none.
std::vector<std::string> with_folder(std::vector<std::string> overrides) {
  const bool chosen = std::any_of(overrides.begin(), overrides.end(), chooses_log_dir);
  if (!chosen) {
    const SweepRuns runs = expand_multirun(overrides);
    overrides.push_back("log.dir=" + numbered_sweep_folder("multirun", runs));
  }
  return overrides;
}

/// The one folder of all runs, none of which may be refused later.
std::string checked_folder(const TrainWords& words, const SweepRuns& runs) {
  std::string folder;
  for (const std::vector<std::string>& run : runs) {
    const Config config = parse_config(compose(words.config_dir, run));
    check_sweep_folder(config.log.dir, runs);
    if (!folder.empty() && config.log.dir != folder) {
      throw UserError(fmt::format(
          "log.dir is {} in one run and {} in another; a sweep that Slurm runs has one folder",
          folder, config.log.dir));
    }
    folder = config.log.dir;
  }
  return folder;
}

}  // namespace

Launcher take_launcher(std::vector<std::string>& overrides, bool multirun) {
  Launcher launcher;
  std::vector<std::string> rest;
  for (const std::string& word : overrides) {
    const std::string name = word.substr(0, word.find('='));
    if (name != key && name != options_key) {
      rest.push_back(word);
      continue;
    }
    const Override override = parse_override(word);
    if (!multirun) throw UserError(override.where + ": a launcher starts a sweep; add --multirun");
    if (override.key == options_key) {
      launcher.sbatch = words_of(override.value);
      continue;
    }
    const std::vector<std::string> known = {"local", "slurm"};
    launcher.slurm = override.value == "slurm";
    if (std::find(known.begin(), known.end(), override.value) != known.end()) continue;
    throw UserError(override.where + ": " + choice_among(override.value, known));
  }
  if (!launcher.sbatch.empty() && !launcher.slurm) {
    throw UserError(fmt::format("{} needs {}=slurm", options_key, key));
  }
  overrides = rest;
  return launcher;
}

void submit_sweep(const TrainWords& words) {
  const std::vector<std::string> overrides = with_folder(words.overrides);
  const SweepRuns runs = expand_multirun(overrides);
  const std::string folder = checked_folder(words, runs);
  const std::string script = source_file("launcher=slurm", "slurm/sweep.sbatch");
  NewFolders made;
  claim_sweep_folder(folder, runs, made);
  std::vector<std::string> call = {"sbatch", fmt::format("--array=0-{}", runs.size() - 1),
                                   fmt::format("--output={}/slurm-%A_%a.log", folder)};
  call.insert(call.end(), words.launcher.sbatch.begin(), words.launcher.sbatch.end());
  call.push_back(script);
  call.insert(call.end(), overrides.begin(), overrides.end());
  run_program(call);
  made.keep();
  std::cout << fmt::format("{} in {}/0 … {}/{}; what each prints in {}/slurm-*.log\n",
                           counted(static_cast<int64_t>(runs.size()), "run"), folder, folder,
                           runs.size() - 1, folder)
            << std::flush;
}

}  // namespace rondo
