#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <set>
#include <stdexcept>

#include "base/counted.h"
#include "base/nearest.h"
#include "base/user_error.h"
#include "checkpoint/format/byte_file.h"
#include "checkpoint/format/checkpoint_reader.h"
#include "distributed/comm/agree.h"
#include "launcher/commands/commands.h"
#include "launcher/commands/job.h"
#include "launcher/commands/sweep.h"
#include "launcher/commands/train_words.h"
#include "launcher/config/compose.h"
#include "launcher/config/stored.h"
#include "launcher/reports/metrics.h"
#include "launcher/reports/model_summary.h"
#include "launcher/reports/progress.h"
#include "launcher/reports/run_log.h"
#include "model/definition/parameters.h"
#include "training/machine/measure.h"
#include "training/machine/memory.h"
#include "training/machine/ranks.h"
#include "training/models/teacher.h"
#include "training/start/run_folder.h"
#include "training/start/stored_tokenizer.h"
#include "training/trainer.h"

namespace rondo {
namespace {

/// A run whose config stands.
struct PlannedRun {
  std::vector<std::string> overrides;
  Resolved resolved;
  Config config;
};

PlannedRun plan_run(const TrainWords& words, const std::vector<std::string>& overrides,
                    int world_size) {
  PlannedRun run{overrides, compose(words.config_dir, overrides), {}};
  run.config = parse_config(run.resolved);
  check_for_world(run.config, world_size);
  return run;
}

/// A run of which all that can be checked beforehand has been checked.
struct Run {
  Config config;
  std::vector<std::string> resumable;  ///< checkpoints, newest first, of which `start` is the first
  Start start;
  Plan plan;
  Corpora corpora;
};

/// Of the file that a save writes: weights and two moments.
int64_t checkpoint_bytes(const Config& config, const ModelDefinition& model) {
  const Precision precision = Precision::parse(config.train.precision);
  return bytes_of(datasets_of(parameters(model), precision.master, /*optimizer=*/true));
}

/// Before the first step, not after the last.
void check_room_for_checkpoint(const Config& config, const ModelDefinition& model) {
  std::filesystem::path folder = std::filesystem::absolute(checkpoint_dir(config));
  while (!std::filesystem::exists(folder)) folder = folder.parent_path();
  try {
    check_room(folder.string(), checkpoint_bytes(config, model));
  } catch (const std::runtime_error& error) {
    throw UserError(
        fmt::format("a checkpoint would not fit: {}; see checkpoint.dir", error.what()));
  }
}

/// Collective.
ClusterConfig measure(const Config& config, const ModelDefinition& model, Communicator& host) {
  at::set_num_threads(static_cast<int>(config.train.threads));
  Ranks ranks(config.distributed, host);
  const ClusterConfig cluster = measure_cluster(config, model, ranks.world(), ranks.device());
  if (host.rank() == 0) std::cout << describe(cluster) << "\n" << std::flush;
  return cluster;
}

/// A model that was already started goes on with its own tokenizer.
void adopt_tokenizer(const Config& config, Start& start, bool speaks) {
  const std::optional<StoredTokenizer> of_data = tokenizer_of_data(config);
  if (!start.tokenizer) start.tokenizer = of_data;
  if (speaks) std::cerr << warning_of_tokenizers(of_data, start.tokenizer, start.file);
}

/// The word that is no file is a slip of one of those that `checkpoint.resume` knows.
void check_resume(const std::string& wanted) {
  const std::vector<std::string> words = {"auto", "never"};
  const bool known = std::find(words.begin(), words.end(), wanted) != words.end();
  if (known || wanted.ends_with(".h5") || std::filesystem::exists(wanted)) return;
  throw UserError(fmt::format("checkpoint.resume = \"{}\": {}, a checkpoint's file", wanted,
                              choice_among(wanted, words)));
}

/// A run that is resumed reads no `train.init`: with another file there it would go on with what
/// the user does not mean.
void check_same_init(const Config& config, const Start& start) {
  const std::string& wanted = config.train.init;
  const std::string before = init_in(start.config);
  std::error_code absent;
  if (wanted.empty() || wanted == before || std::filesystem::equivalent(wanted, before, absent)) {
    return;
  }
  throw UserError(fmt::format(
      "train.init = \"{}\", but {} is of a run that began {}; choose another log.dir to start from "
      "{}, or give the run's own train.init to go on with it",
      wanted, start.file, before.empty() ? "without one" : "from " + before, wanted));
}

Start start_of(const Config& config, const OpenCheckpoint& newest) {
  check_resume(config.checkpoint.resume);
  Start start = choose_start(config, newest);
  if (newest) check_same_init(config, start);
  if (start.resume) start.read_before = reading_in(start.config);
  return start;
}

/// Collective.
Run prepare_run(const PlannedRun& planned, Communicator& host) {
  const bool is_first = host.rank() == 0;
  Config config = planned.config;
  check_same_text(host, "config", to_toml(config));
  std::vector<std::string> resumable = files_to_resume(config, host);
  const OpenCheckpoint newest =
      resumable.empty() ? nullptr : open_first_usable(resumable, config, host);
  Start start;
  std::optional<Corpora> corpora;
  const bool on_host = config.distributed.backend == "mpi";
  const auto ranks_here =
      static_cast<int>(std::min<int64_t>(host.size(), config.cluster.gpus_per_node));
  agree(host, [&] {
    start = start_of(config, newest);
    if (!config.train.init.empty()) {
      const ModelDefinition& model = start.model;
      adopt_model(config, planned.resolved, {start.file, start.config, model});
    }
    if (start.resume) check_changes_count(config, start.config, start.step, start.file);
    adopt_tokenizer(config, start, is_first);
    const auto teacher = static_cast<double>(check_teacher(config, start.model.spec));
    if (!config.train.distill.empty() && config.checkpoint.verify) {
      verify(CheckpointReader(config.train.distill), all_parameters, host);
    }
    if (on_host) {
      check_fits(memory_need(config, start.model, host.size(), teacher), physical_memory(),
                 ranks_here);
    }
    if (is_first) check_room_for_checkpoint(config, start.model);
    corpora.emplace(open_corpora(config));
  });
  check_tokens(corpora->all, config.model.vocab, host, status_of_first(host.rank()));
  if (config.cluster.measured) config.cluster = measure(config, start.model, host);
  Plan plan;
  agree(host, [&] {
    plan = plan_for(config, start.model, host.size());
    const auto planned = static_cast<double>(plan.chosen.most_memory());
    if (on_host) check_plan_fits(planned, physical_memory(), ranks_here);
  });
  return {config, std::move(resumable), start, std::move(plan), std::move(*corpora)};
}

std::string describe_plan(const Plan& plan) {
  const auto& [placement, schedule, replicas, microbatches, micro_batch, given] =
      plan.chosen.choice;
  if (placement.pipeline == 1) {
    return fmt::format("plan: {}, {} of {} each", counted(replicas, "replica"),
                       counted(microbatches, "microbatch", "microbatches"),
                       counted(micro_batch, "sequence"));
  }
  return fmt::format(
      "plan: pipelines of {} x {}, route {} with {}, {}, {} of {}, {} on several ranks",
      counted(placement.pipeline, "rank"), counted(replicas, "replica"), plan.chosen.route,
      counted(placement.passes(), "pass", "passes"), schedule_name(schedule),
      counted(microbatches, "microbatch", "microbatches"), counted(micro_batch, "sequence"),
      counted(int64_t{plan.chosen.copies}, "component"));
}

std::string describe_run(const Config& config, const Start& start, const Plan& plan,
                         int world_size) {
  std::string text = summary(start.model, config.data.sequence);
  text += fmt::format("ranks {}, zero {}, {}, {} sequences of {} tokens a step, {} steps\n",
                      world_size, config.distributed.zero, config.train.precision,
                      config.train.global_batch, config.data.sequence, config.train.steps);
  text += describe_plan(plan) + "\n";
  if (!start.file.empty()) {
    text += start.resume ? fmt::format("resumes {}\n", start.file)
                         : fmt::format("starts from the weights of {}, at step 0\n", start.file);
  }
  const std::vector<std::string> changes =
      start.resume ? changed_keys(start.config, config) : std::vector<std::string>();
  if (!changes.empty()) {
    text +=
        fmt::format("resumes with other values than the file's: {}\n", fmt::join(changes, ", "));
  }
  if (start.resume) text += rate_jump(config, start.config, start.step);
  return text + "run folder " + config.log.dir + "\n";
}

/// A checkpoint whose values turn out to be damaged is passed over, too. Collective.
void begin(Trainer& trainer, Run& run, Communicator& host) {
  while (true) {
    try {
      trainer.begin(run.start);
      run.start.reader = nullptr;
      return;
    } catch (const AgreedError& error) {
      if (run.resumable.empty()) throw;
      say_passed_over(error);
    }
    run.resumable.erase(run.resumable.begin());
    const OpenCheckpoint newest = open_first_usable(run.resumable, run.config, host);
    agree(host, [&] {
      const ModelDefinition model = run.start.model;
      run.start = start_of(run.config, newest);
      adopt_tokenizer(run.config, run.start, host.rank() == 0);
      check_same_model(run.start.model, model, run.start.file);
    });
  }
}

/// The step that the run goes on from, if it does.
std::optional<int64_t> start_step(const Start& start) {
  return start.resume ? std::optional(start.step) : std::nullopt;
}

TrainResult train(Run run, Communicator& host, StopSignals& signals) {
  const Config& config = run.config;
  at::set_num_threads(static_cast<int>(config.train.threads));
  Ranks ranks(config.distributed, host);
  Trainer trainer({config, to_toml(config), run.start.model, run.plan, std::move(run.corpora)},
                  ranks, signals);
  begin(trainer, run, host);
  std::optional<RunFolder> folder;
  std::optional<RunLog> log;
  agree(host, [&] {
    if (host.rank() != 0) return;
    check_metrics(config.log.dir + "/metrics.jsonl");
    folder.emplace(config, to_toml(config), start_step(run.start));
    std::cout << describe_run(config, run.start, run.plan, host.size()) << std::flush;
    log.emplace(config, trainer.done_steps());
  });
  TrainResult result = trainer.run(log ? log->report() : RunReport{});
  agree(host, [&] {
    if (log) log->close();
  });
  if (host.rank() == 0) {
    std::cout << "checkpoint   " << result.checkpoint << "\nmetrics      " << config.log.dir
              << "/metrics.jsonl\n";
    if (config.log.tensorboard) std::cout << "tensorboard  " << config.log.dir << "/tensorboard\n";
    std::cout << std::flush;
  }
  return result;
}

bool chooses_log_dir(const std::vector<std::string>& overrides) {
  return std::any_of(overrides.begin(), overrides.end(), [](const std::string& word) {
    return word.starts_with("log.dir=") || word.starts_with("+log.dir=");
  });
}

std::string leaf_of_path(const std::string& folder) {
  return std::filesystem::path(folder).filename().string();
}

/// A sweep's runs, and the folders that hold theirs.
struct Sweep {
  SweepRuns overrides;
  std::vector<PlannedRun> runs;
  std::set<std::string> folders = {};
};

/// The runs get the folders 0, 1, … in the log.dir that the user chose, or in a folder of the
/// sweep's own below multirun/.
Sweep plan_sweep(const TrainWords& words, int world_size) {
  Sweep sweep{expand_multirun(words.overrides), {}};
  const std::string own = numbered_sweep_folder("multirun", sweep.overrides);
  for (const std::vector<std::string>& overrides : sweep.overrides) {
    PlannedRun run = plan_run(words, overrides, world_size);
    const bool chosen = chooses_log_dir(overrides);
    const std::string folder = chosen ? run.config.log.dir : own;
    check_sweep_folder(folder, sweep.overrides);
    sweep.folders.insert(folder);
    const std::string number = fmt::format("/{}", sweep.runs.size());
    run.config.log.dir = folder + number;
    if (!run.config.checkpoint.dir.empty()) {
      run.config.checkpoint.dir +=
          chosen ? number : fmt::format("/{}{}", leaf_of_path(own), number);
    }
    sweep.runs.push_back(std::move(run));
  }
  return sweep;
}

void train_one(const TrainWords& words, Communicator& host, StopSignals& signals) {
  PlannedRun plan;
  agree(host, [&] { plan = plan_run(words, words.overrides, host.size()); });
  train(prepare_run(plan, host), host, signals);
}

/// What became of one run of a sweep.
struct Outcome {
  std::string line;  ///< of the table
  bool failed = false;
  bool stopped = false;
};

std::string describe_result(const TrainResult& result) {
  std::string text = fmt::format("step {}", result.step);
  text += result.loss ? fmt::format("  loss {:.4f}", *result.loss) : "  was done before";
  if (result.validation_loss) text += fmt::format("  held-out {:.4f}", *result.validation_loss);
  return text;
}

/// A failure that every rank knows of ends this run alone.
Outcome train_in_sweep(Run run, Communicator& host, StopSignals& signals) {
  try {
    const TrainResult result = train(std::move(run), host, signals);
    return {describe_result(result), false, result.stopped};
  } catch (const AgreedError& error) {
    const std::string line = error.what();
    if (!line.empty()) std::cerr << "rondo: " << line << "\n";
  } catch (const std::exception& error) {
    if (host.size() > 1) throw;
    const std::string text = error.what();  // LibTorch adds a stack trace after the first line
    std::cerr << "rondo: " << text.substr(0, text.find('\n')) << "\n";
  }
  return {"failed", true};
}

/// All runs are checked before the first begins. Returns whether none failed.
bool train_many(const TrainWords& words, Communicator& host, StopSignals& signals) {
  Sweep sweep;
  agree(host, [&] { sweep = plan_sweep(words, host.size()); });
  std::vector<Run> runs;
  for (const PlannedRun& plan : sweep.runs) runs.push_back(prepare_run(plan, host));
  agree(host, [&] {
    if (host.rank() != 0) return;
    for (const std::string& folder : sweep.folders) claim_sweep_folder(folder, sweep.overrides);
  });
  std::string table;
  bool all_well = true;
  for (size_t i = 0; i < runs.size(); ++i) {
    if (host.rank() == 0) {
      std::cout << fmt::format("\n== run {} of {}\n", i + 1, runs.size()) << std::flush;
    }
    const std::string folder = runs[i].config.log.dir;
    const Outcome outcome = train_in_sweep(std::move(runs[i]), host, signals);
    table += fmt::format("{}  {}  {}\n", folder, outcome.line, fmt::join(sweep.overrides[i], "  "));
    all_well = all_well && !outcome.failed;
    if (outcome.stopped) break;
  }
  if (host.rank() == 0) std::cout << "\n" << table << std::flush;
  return all_well;
}

}  // namespace

int train_command(const Arguments& arguments) {
  TrainWords words;
  StopSignals signals;
  bool all_well = true;
  run_job([&](bool speaks) { return read_train_words(arguments, speaks, words); },
          [&](Communicator& host) {
            if (words.multirun) {
              all_well = train_many(words, host, signals);
            } else {
              train_one(words, host, signals);
            }
          });
  return all_well ? 0 : 1;
}

}  // namespace rondo
