#include "launcher/commands/train_words.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <optional>

#include "launcher/commands/command_line.h"
#include "launcher/config/compose.h"
#include "launcher/config/reference.h"
#include "launcher/reports/progress.h"

namespace rondo {
namespace {

constexpr const char* train_examples = R"(
Overrides choose config files and set keys:
  group=option   model= sharing= data= optimizer= distributed= cluster= run=
  a.b=v  +a.b=v  set a key           ~a.b  back to its default

Examples:
  rondo train data.path=corpus                                  one rank
  mpirun -n 4 rondo train model=llama_tiny sharing=cycle sharing.unique=4 data.path=corpus
  rondo train --cfg sharing=zigzag                              print the resolved config
  rondo train --help-config optimizer                           what its keys mean
  rondo train --multirun sharing=cycle,sequence train.seed=0,1 data.path=corpus
)";

/// The resolved config, or that of each run.
std::string printed_config(const TrainWords& words) {
  if (!words.multirun) return to_toml(compose(words.config_dir, words.overrides));
  const std::vector<std::vector<std::string>> runs = expand_multirun(words.overrides);
  std::string text;
  for (size_t i = 0; i < runs.size(); ++i) {
    text += fmt::format("{}# run {} of {}: {}\n{}", text.empty() ? "" : "\n", i + 1, runs.size(),
                        fmt::join(runs[i], " "), to_toml(compose(words.config_dir, runs[i])));
  }
  return text;
}

std::string printed_help(const TrainWords& words) {
  if (words.help_prefix == "markdown") return config_page(words.config_dir);
  const int terminal = terminal_width(STDOUT_FILENO);
  return config_reference(words.config_dir, words.help_prefix, terminal > 40 ? terminal : 100);
}

}  // namespace

bool read_train_words(const Arguments& arguments, bool speaks, TrainWords& words) {
  std::string own;
  const CommandLine line{
      "train",
      "Trains a model; alone, under mpirun or under srun --mpi=pmix.",
      {{"overrides", &words.overrides, "group=option, key=value, +key=value, ~key"},
       {"--config-dir", &own, "folder(s) of config groups, joined by ':', before rondo's"},
       {"--cfg", &words.print_config, "print the resolved config as TOML and stop"},
       {"--help-config",
        &words.help_prefix,
        "print what the keys mean that begin with PREFIX (all without one; markdown: as a page)",
        {.value_optional = true}},
       {"--multirun", &words.multirun, "run every combination of a=1,2 b=x,y in turn"}},
      train_examples};
  const std::optional<GivenOptions> given = line.parse(arguments, speaks);
  if (!given) return false;
  words.config_dir = own.empty() ? default_config_dir() : before_built_in_configs(own);
  const bool explains = given->contains("--help-config");
  if (!explains && !words.print_config) return true;
  const std::string text = explains ? printed_help(words) : printed_config(words);
  if (speaks) std::cout << text;
  return false;
}

}  // namespace rondo
