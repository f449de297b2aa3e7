#include "launcher/commands/train/train_run.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <stdexcept>

#include "base/counted.h"
#include "base/nearest.h"
#include "base/user_error.h"
#include "checkpoint/format/byte_file.h"
#include "checkpoint/format/checkpoint_reader.h"
#include "distributed/comm/agree.h"
#include "launcher/config/config.h"
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

namespace rondo {
namespace {

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

/// Else the run would do a step beyond the one that it was to stop after.
void check_exit_is_ahead(const Config& config, const Start& start) {
  const int64_t exit = config.control.exit_at_step;
  if (exit == 0 || start.step < exit) return;
  throw UserError(
      fmt::format("train.exit_at_step = {}, but {} is of step {} already; raise it, or "
                  "drop it to go on to train.steps = {}",
                  exit, start.file, start.step, config.train.steps));
}

Start start_of(const Config& config, const OpenCheckpoint& newest) {
  check_resume(config.checkpoint.resume);
  Start start = choose_start(config, newest);
  if (newest) check_same_init(config, start);
  if (start.resume) start.read_before = reading_in(start.config);
  return start;
}

std::string describe_plan(const Plan& plan) {
  const auto& [placement, schedule, replicas, microbatches, micro_batch, given, neighbours] =
      plan.chosen.choice;
  if (placement.pipeline == 1) {
    return fmt::format("plan: {}, {} of {} each", counted(replicas, "replica"),
                       counted(microbatches, "microbatch", "microbatches"),
                       counted(micro_batch, "sequence"));
  }
  return fmt::format(
      "plan: pipelines of {} x {}{}, route {} with {}, {}, {} of {}, {} on several ranks",
      counted(placement.pipeline, "rank"), counted(replicas, "replica"),
      neighbours == Neighbours::replicas ? " side by side" : "", plan.chosen.route,
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

}  // namespace

PlannedRun plan_run(const TrainWords& words, const std::vector<std::string>& overrides,
                    int world_size, std::time_t now) {
  PlannedRun run{overrides, compose(words.config_dir, overrides, now), {}, {}};
  run.faults = parse_faults(words.faults);
  run.json = words.json_out;
  run.config = parse_config(run.resolved);
  check_for_world(run.config, world_size);
  return run;
}

Run prepare_run(const PlannedRun& planned, Communicator& host) {
  const bool is_first = host.rank() == 0;
  Config config = planned.config;
  check_same_text(host, "config", to_toml(config));
  agree(host, [&] {
    if (is_first) check_free(config);
  });
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
    if (start.resume) {
      check_changes_count(config, start.config, start.step, start.file);
      check_exit_is_ahead(config, start);
    }
    adopt_tokenizer(config, start, is_first);
    check_faults(planned.faults, start.model, config.train.steps, host.size());
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
    check_ramp(config, plan.chosen.choice.micro_batch * plan.chosen.choice.replicas);
    const auto planned = static_cast<double>(plan.chosen.most_memory());
    if (on_host) check_plan_fits(planned, physical_memory(), ranks_here);
  });
  return {config,         std::move(resumable), start, std::move(plan), std::move(*corpora),
          planned.faults, planned.json};
}

TrainResult train(Run run, Communicator& host, const StopSignals& signals) {
  const Config& config = run.config;
  at::set_num_threads(static_cast<int>(config.train.threads));
  Ranks ranks(config.distributed, host);
  Trainer trainer(
      {config, to_toml(config), run.start.model, run.plan, std::move(run.corpora), run.faults},
      ranks, signals);
  begin(trainer, run, host);
  std::optional<RunFolder> folder;
  std::optional<RunLog> log;
  agree(host, [&] {
    if (host.rank() != 0) return;
    check_metrics(config.log.dir + "/metrics.jsonl");
    folder.emplace(config, to_toml(config), start_step(run.start));
    log.emplace(config, run.start.model, trainer.done_steps(), run.json);
    log->tell(describe_run(config, run.start, run.plan, host.size()));
  });
  TrainResult result = trainer.run(log ? log->report() : RunReport{});
  agree(host, [&] {
    if (log) log->close();
  });
  if (host.rank() == 0) {
    std::string files = fmt::format("checkpoint   {}\nmetrics      {}/metrics.jsonl\n",
                                    result.checkpoint, config.log.dir);
    if (config.log.tensorboard)
      files += fmt::format("tensorboard  {}/tensorboard\n", config.log.dir);
    std::cout << files << std::flush;
  }
  return result;
}

}  // namespace rondo
