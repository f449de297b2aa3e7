// The words of `rondo train`.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "launcher/commands/commands.h"

namespace rondo {

/// Who runs a sweep.
struct Launcher {
  bool slurm = false;                    ///< as a job array
  std::vector<std::string> sbatch = {};  ///< what sbatch is told beside, one word each
};

struct TrainWords {
  std::vector<std::string> overrides;
  std::string config_dir;
  bool print_config = false;
  bool print_folder = false;  ///< --where
  bool multirun = false;
  int only_run = -1;  ///< of a sweep: the number of the one to train; -1: all
  Launcher launcher = {};
  std::string help_prefix;
  std::string faults;  ///< of --chaos
  bool quiet = false;
  bool json = false;
  std::ostream* json_out = nullptr;  ///< where --json goes
};

/// Fills `words`, and does what needs no run: help, --help-config, --cfg, whose text is printed
/// where this process `speaks`. Returns whether there is something to train. Throws UserError.
bool read_train_words(const Arguments& arguments, bool speaks, TrainWords& words);

}  // namespace rondo
