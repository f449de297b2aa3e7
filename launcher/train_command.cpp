#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <iostream>

#include "checkpoint/checkpoint_reader.h"
#include "launcher/agree.h"
#include "launcher/command_line.h"
#include "launcher/commands.h"
#include "launcher/compose.h"
#include "launcher/job.h"
#include "launcher/model_summary.h"
#include "launcher/ranks.h"
#include "launcher/run_folder.h"
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

/// After `train.init` its model and map stand; the config that is kept says so. A map that differs
/// between slots has no key of its own and is left to the checkpoint.
void adopt_model(Config& config, const ModelDefinition& model) {
  config.model = model.spec;
  config.relaxation_rank = model.relaxation_rank;
  const std::vector<int>& list = model.sharing.slots[0];
  for (Slot slot : all_slots) {
    if (model.sharing.of(slot) != list) return;
  }
  config.sharing = {.strategy = "explicit", .map = list};
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
  int64_t damaged = 0;
  agree(host, [&] {
    config = parse_config(compose(words.config_dir, words.overrides));
    check_for_world(config, host.size());
    if (host.rank() == 0) damaged = count_damaged(config);
  });
  host.broadcast({&damaged, 1, ElementType::int64}, 0);
  agree(host, [&] {
    start = choose_start(config, damaged);
    if (!config.train.init.empty()) adopt_model(config, start.model);
    const bool verified = config.checkpoint.resume == "auto" && start.resume;
    if (!start.file.empty() && !verified && host.rank() == 0) {
      CheckpointReader(start.file).verify();
    }
    corpora.emplace(open_corpora(config));
  });
  torch::set_num_threads(static_cast<int>(config.train.threads));
  Ranks ranks(config.distributed, host);
  Trainer trainer(config, start, std::move(*corpora), ranks, signals);
  std::optional<RunFolder> folder;
  agree(host, [&] {
    if (host.rank() == 0) folder.emplace(config);
  });
  if (host.rank() == 0) std::cout << describe_run(config, start, host.size()) << std::flush;
  TrainResult result = trainer.run();
  if (host.rank() == 0) {
    std::cout << "checkpoint   " << result.checkpoint << "\nmetrics      " << config.log.dir
              << "/metrics.jsonl\n";
    if (config.log.tensorboard) std::cout << "tensorboard  " << config.log.dir << "/tensorboard\n";
    std::cout << std::flush;
  }
  return result;
}

/// The overrides of each run of a sweep, with run folders DIR/0, DIR/1, … below the log.dir that
/// the user chose, or below multirun/. All are checked before the first begins.
std::vector<TrainWords> plan_runs(const TrainWords& words, int world_size) {
  std::vector<TrainWords> runs;
  for (const std::vector<std::string>& overrides : expand_multirun(words.overrides)) {
    const Config config = parse_config(compose(words.config_dir, overrides));
    check_for_world(config, world_size);
    const bool chosen =
        std::any_of(overrides.begin(), overrides.end(), [](const std::string& word) {
          return word.starts_with("log.dir=") || word.starts_with("+log.dir=");
        });
    TrainWords one = words;
    one.overrides = overrides;
    one.overrides.push_back(
        fmt::format("log.dir=\"{}/{}\"", chosen ? config.log.dir : "multirun", runs.size()));
    open_corpora(parse_config(compose(one.config_dir, one.overrides)));
    runs.push_back(one);
  }
  return runs;
}

void train_many(const TrainWords& words, Communicator& host, StopSignals& signals) {
  std::string table;
  std::vector<TrainWords> runs;
  agree(host, [&] { runs = plan_runs(words, host.size()); });
  for (size_t i = 0; i < runs.size(); ++i) {
    if (host.rank() == 0) std::cout << fmt::format("\n== run {} of {}\n", i + 1, runs.size());
    const TrainResult result = train_once(runs[i], host, signals);
    const std::string folder = parse_config(compose(words.config_dir, runs[i].overrides)).log.dir;
    table += fmt::format("{}  step {}", folder, result.step);
    table += result.loss ? fmt::format("  loss {:.4f}", *result.loss) : "  was done before";
    if (result.validation_loss) table += fmt::format("  held-out {:.4f}", *result.validation_loss);
    for (const std::string& word : runs[i].overrides) table += "  " + word;
    table += "\n";
    if (result.stopped) break;
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
