// The words of `rondo train`.
#pragma once

#include <string>
#include <vector>

#include "launcher/commands/commands.h"

namespace rondo {

struct TrainWords {
  std::vector<std::string> overrides;
  std::string config_dir;
  bool print_config = false;
  bool multirun = false;
  std::string help_prefix;
};

/// Fills `words`, and does what needs no run: help, --help-config, --cfg, whose text is printed
/// where this process `speaks`. Returns whether there is something to train. Throws UserError.
bool read_train_words(const Arguments& arguments, bool speaks, TrainWords& words);

}  // namespace rondo
