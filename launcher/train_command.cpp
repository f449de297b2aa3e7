#include <fmt/format.h>
#include <torch/torch.h>

#include <filesystem>
#include <fstream>
#include <iostream>

#include "base/user_error.h"
#include "checkpoint/checkpoint_reader.h"
#include "launcher/agree.h"
#include "launcher/command_line.h"
#include "launcher/commands.h"
#include "launcher/compose.h"
#include "launcher/job.h"
#include "launcher/model_summary.h"
#include "launcher/ranks.h"
#include "launcher/trainer.h"

namespace rondo {
namespace {

constexpr const char* examples = R"(
Overrides choose config files and set keys:
  group=option   model= sharing= data= optimizer= distributed= cluster= run=
  a.b=v  +a.b=v  set a key           ~a.b  back to its default

Examples:
  rondo train data.path=corpus                                  one rank
  mpirun -n 4 rondo train model=llama_tiny sharing=cycle sharing.unique=4 data.path=corpus
  rondo train --cfg sharing=zigzag                              print the resolved config
  rondo train --multirun sharing=cycle,sequence train.seed=0,1 data.path=corpus
)";

struct TrainWords {
  std::vector<std::string> overrides;
  std::string config_dir = default_config_dir();
  bool print_config = false;
  bool multirun = false;
};

/// The run folder is made, and the resolved config kept there, only when all else is known good.
void keep_config(const Config& config) {
  std::error_code error;
  std::filesystem::create_directories(config.log.dir, error);
  std::ofstream file(config.log.dir + "/config.toml");
  file << to_toml(config);
  if (!file.flush()) {
    throw UserError(fmt::format("cannot write into the run folder {}; choose another with log.dir",
                                config.log.dir));
  }
}

std::string describe_run(const Config& config, const Start& start, int world_size) {
  std::string text = summary(start.model, config.data.sequence);
  text += fmt::format("ranks {}, zero {}, {}, {} sequences of {} tokens a step, {} steps\n",
                      world_size, config.distributed.zero, config.train.precision,
                      config.train.global_batch, config.data.sequence, config.train.steps);
  if (!start.file.empty()) {
    text += fmt::format("{} {}\n", start.resume ? "resumes" : "starts from", start.file);
  }
  return text + "run folder " + config.log.dir + "\n";
}

/// One training run from its overrides.
TrainResult train_once(const TrainWords& words, Communicator& host, StopSignals& signals) {
  Config config;
  Start start;
  std::optional<Corpora> corpora;
  agree(host, [&] {
    config = parse_config(compose(words.config_dir, words.overrides));
    check_for_world(config, host.size());
    start = choose_start(config);
    config.model = start.model.spec;
    if (!start.file.empty() && host.rank() == 0) CheckpointReader(start.file).verify();
    corpora.emplace(open_corpora(config));
  });
  torch::set_num_threads(static_cast<int>(config.train.threads));
  Ranks ranks(config.distributed, host);
  Trainer trainer(config, start, std::move(*corpora), ranks, signals);
  agree(host, [&] {
    if (host.rank() == 0) keep_config(config);
  });
  if (host.rank() == 0) std::cout << describe_run(config, start, host.size()) << std::flush;
  const TrainResult result = trainer.run();
  if (host.rank() == 0) {
    std::cout << "checkpoint   " << result.checkpoint << "\nmetrics      " << config.log.dir
              << "/metrics.jsonl\n";
    if (config.log.tensorboard) std::cout << "tensorboard  " << config.log.dir << "/tensorboard\n";
    std::cout << std::flush;
  }
  return result;
}

/// Every combination of the swept values, in run folders DIR/0, DIR/1, …
void train_many(const TrainWords& words, Communicator& host, StopSignals& signals) {
  std::string table;
  std::vector<std::vector<std::string>> runs;
  agree(host, [&] { runs = expand_multirun(words.overrides); });
  for (size_t i = 0; i < runs.size(); ++i) {
    TrainWords one = words;
    std::string dir = "multirun";
    one.overrides = runs[i];
    for (const std::string& word : runs[i]) {
      if (word.starts_with("log.dir=")) dir = word.substr(std::string("log.dir=").size());
    }
    one.overrides.push_back(fmt::format("log.dir={}/{}", dir, i));
    if (host.rank() == 0) std::cout << fmt::format("\n== run {} of {}\n", i + 1, runs.size());
    const TrainResult result = train_once(one, host, signals);
    table += fmt::format("{}/{}  step {}  loss {:.4f}", dir, i, result.step, result.loss);
    if (result.validation_loss) table += fmt::format("  held-out {:.4f}", *result.validation_loss);
    for (const std::string& word : runs[i]) table += "  " + word;
    table += "\n";
  }
  if (host.rank() == 0) std::cout << "\n" << table << std::flush;
}

}  // namespace

int train_command(const Arguments& arguments) {
  TrainWords words;
  CLI::App app("Trains a model; alone, under mpirun or under srun --mpi=pmix.", "train");
  app.add_option("overrides", words.overrides, "group=option, key=value, +key=value, ~key");
  app.add_option("--config-dir", words.config_dir, "folder(s) of config groups, joined by ':'");
  app.add_flag("--cfg", words.print_config, "print the resolved config as TOML and stop");
  app.add_flag("--multirun", words.multirun, "run every combination of a=1,2 b=x,y in turn");
  app.footer(examples);
  if (!parse_words(app, arguments)) return 0;
  if (words.print_config) {
    std::cout << to_toml(compose(words.config_dir, words.overrides));
    return 0;
  }
  StopSignals signals;
  run_job([&](Communicator& host) {
    if (words.multirun) {
      train_many(words, host, signals);
    } else {
      train_once(words, host, signals);
    }
  });
  return 0;
}

}  // namespace rondo
