#include "launcher/commands/train/train_words.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <optional>

#include "base/user_error.h"
#include "launcher/commands/command_line.h"
#include "launcher/commands/manual.h"
#include "launcher/commands/train/slurm_sweep.h"
#include "launcher/commands/train/sweep.h"
#include "launcher/config/compose.h"
#include "launcher/config/config.h"
#include "launcher/config/reference.h"
#include "launcher/config/schema.h"
#include "launcher/reports/progress.h"
#include "training/start/start.h"

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
  rondo train --multirun sharing=cycle,sequence 'train.seed=range(0,3)' data.path=corpus
  rondo train --multirun train.seed=0,1 data.path=corpus launcher=slurm launcher.sbatch="--ntasks=4"

Exit codes: 0 done, 75 saved and stopped before the end (run the same command again), 2 your mistake,
1 anything else.
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

/// Where the run keeps its checkpoints: that of --run, of a sweep.
std::string printed_folder(const TrainWords& words) {
  if (!words.multirun) {
    return checkpoint_dir(parse_config(compose(words.config_dir, words.overrides))) + "\n";
  }
  const SweepRuns runs = expand_multirun(words.overrides);
  if (words.only_run < 0 || words.only_run >= static_cast<int>(runs.size())) {
    throw UserError("--where: of a sweep, say which run's folder with --run");
  }
  const std::vector<std::string>& run = runs[words.only_run];
  Config config = parse_config(compose(words.config_dir, run));
  set_run_folders(config, run, numbered_sweep_folder("multirun", runs), words.only_run);
  return checkpoint_dir(config) + "\n";
}

/// Keys and groups, as a shell completes them.
std::vector<std::string> completed_words(const std::string& config_dir) {
  std::vector<std::string> words = {"launcher=", "launcher.sbatch="};
  for (const ConfigGroup& group : config_groups(config_dir)) {
    for (const GroupOption& option : group.options) words.push_back(group.name + "=" + option.name);
  }
  for (const ConfigField& field : config_schema()) {
    for (const std::string& name : field.names) words.push_back(field.key + "=" + name);
    if (field.names.empty()) words.push_back(field.key + "=");
  }
  return words;
}

/// rondo-config(5).
std::string config_manual() {
  ManualSection keys{.name = "keys"};
  const Config standard;
  for (const ConfigField& field : config_schema()) {
    keys.list.emplace_back(fmt::format("{} = {}", field.key, toml_literal(field.write(standard))),
                           field.about);
  }
  return manual_page(
      "rondo-config", 5, "keys of rondo's configuration, with their own defaults",
      {{.name = "description",
        .text = "Set in TOML files or on the command line: table.key=value. A group of "
                "files is chosen with group=option. Groups' files may set other "
                "defaults; rondo train --help-config shows them."},
       keys});
}

std::string printed_help(const TrainWords& words) {
  if (words.help_prefix == "manual") return config_manual();
  if (words.help_prefix == "markdown") return config_page(words.config_dir);
  const int terminal = terminal_width(STDOUT_FILENO);
  return config_reference(words.config_dir, words.help_prefix, terminal > 40 ? terminal : 100);
}

}  // namespace

bool read_train_words(const Arguments& arguments, bool speaks, TrainWords& words) {
  std::string own;
  const bool completes = arguments == Arguments{completion_word};
  const CommandLine line{
      "train",
      "Trains a model; alone, under mpirun or under srun --mpi=pmix.",
      {{"overrides", &words.overrides, "group=option, key=value, +key=value, ~key"},
       {"--config-dir", &own, "folder(s) of config groups, joined by ':', before rondo's"},
       {"--cfg", &words.print_config, "print the resolved config as TOML and stop"},
       {"--quiet", &words.quiet, "print errors alone; console.log in log.dir has the rest"},
       {"--json", &words.json,
        "print the lines of metrics.jsonl instead of text for people; of a sweep each run's after "
        "a line with its folder"},
       {"--where", &words.print_folder, "print the folder of the run's checkpoints and stop"},
       {"--help-config",
        &words.help_prefix,
        "print what the keys mean that begin with PREFIX (all without one; markdown: as a page)",
        {.value_optional = true}},
       {"--multirun", &words.multirun, "run every combination of a=1,2 b=x,y in turn"},
       {"--chaos", &words.faults,
        "faults on purpose, for tests, KIND@STEP[:WHAT] joined by ',': kill, stop, memory, disk or "
        "slow of a rank WHAT, nan or inf from a component WHAT, spike; kill@9:1,nan@4:attention/1"},
       {"--run", &words.only_run, "of a sweep only run number N, from 0", {.least = 0}}},
      train_examples,
      completes ? completed_words(default_config_dir()) : std::vector<std::string>()};
  const std::optional<GivenOptions> given = line.parse(arguments, speaks);
  if (!given) return false;
  words.launcher = take_launcher(words.overrides, words.multirun);
  if (words.only_run >= 0 && !words.multirun) {
    throw UserError("--run chooses one run of a sweep; add --multirun");
  }
  words.config_dir = own.empty() ? default_config_dir() : before_built_in_configs(own);
  const bool explains = given->contains("--help-config");
  if (!explains && !words.print_config && !words.print_folder) {
    if (words.launcher.slurm && speaks) submit_sweep(words);
    return !words.launcher.slurm;
  }
  const std::string text = explains             ? printed_help(words)
                           : words.print_folder ? printed_folder(words)
                                                : printed_config(words);
  if (speaks) std::cout << text;
  return false;
}

}  // namespace rondo
