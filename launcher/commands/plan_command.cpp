#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <iostream>
#include <optional>
#include <vector>

#include "base/counted.h"
#include "base/output_path.h"
#include "base/partial_file.h"
#include "base/quantity.h"
#include "base/user_error.h"
#include "checkpoint/format/checkpoint_reader.h"
#include "distributed/plan/schedule/lower.h"
#include "distributed/plan/schedule/schedule_text.h"
#include "launcher/commands/command_line.h"
#include "launcher/commands/commands.h"
#include "launcher/commands/plan_sweep.h"
#include "launcher/config/compose.h"
#include "launcher/config/stored.h"
#include "launcher/reports/plan_report.h"
#include "launcher/reports/progress.h"
#include "launcher/reports/sweep_report.h"
#include "launcher/reports/timeline.h"
#include "launcher/reports/worth_report.h"
#include "training/models/teacher.h"
#include "training/start/plan_request.h"

namespace rondo {
namespace {

constexpr const char* plan_examples = R"(
The keys that are left open (distributed.pipeline, .route, .passes, .schedule = auto) are chosen;
others are obeyed, or refused with the reason. Prices come from cluster.*.

Examples:
  rondo plan --world 4 distributed.pipeline=auto sharing=cycle
  rondo plan --world 4096 cluster=h100 model=gemma_2b sharing=cycle sharing.unique=6 distributed=auto
      distributed.backend=nccl train.precision=bfloat16 train.global_batch=8192 train.micro_batch=1
      data.sequence=4096
  rondo plan --world 4 distributed.pipeline=4 distributed.route=loop --svg step.svg --trace step.json
  rondo plan --world 8 distributed.pipeline=8 --json /dev/stdout
  rondo plan --sweep --world 4096 cluster=h100 model=gemma_2b sharing=cycle sharing.unique=6
      distributed=auto distributed.backend=nccl train.precision=bfloat16 --svg sweep.svg
)";

struct PlanWords {
  std::vector<std::string> overrides;
  std::string config_dir = default_config_dir();
  int world = 0;
  int gpus_per_node = 0;  ///< 0: as the cluster says
  std::string json;
  std::string svg;
  std::string trace;
  std::string csv;
  bool sweep = false;
  int sequences = 8;
};

/// Says so where nothing else goes to the terminal.
void write_text(const std::string& file, const std::string& text, bool speaks) {
  if (is_device(file)) {
    if (!(std::ofstream(file) << text << std::flush)) {
      throw UserError(fmt::format("cannot write to {}", file));
    }
    return;
  }
  write_whole(file, text);
  if (speaks) std::cout << "wrote " << file << "\n";
}

/// What the plan leaves out of what the config asks for; empty where that is nothing.
std::string left_out(const Config& config) {
  if (config.train.passes.empty() && config.train.backprop_passes == 0) return "";
  return "this is a step over the whole depth: under train.passes or train.backprop_passes steps "
         "are "
         "shorter, and send less\n";
}

struct Asked {
  PlanRequest request;
  std::string note;        ///< a line, or empty
  bool truncated = false;  ///< whether gradients stop before the first pass
};

Asked asked(const PlanWords& words) {
  const Resolved resolved = compose(words.config_dir, words.overrides);
  Config config = parse_config(resolved);
  if (words.gpus_per_node > 0) config.cluster.gpus_per_node = words.gpus_per_node;
  if (config.cluster.measured) {
    throw UserError(
        "cluster.measured: rondo plan starts no ranks to measure on; choose cluster=cpu, a100 or "
        "h100, or let rondo train measure");
  }
  const auto with_teacher = [&](PlanRequest request) -> Asked {
    request.workload.teacher_flops = teacher_flops_per_token(config);
    return {std::move(request), left_out(config), config.train.backprop_passes > 0};
  };
  if (config.train.init.empty()) return with_teacher(plan_request(config, words.world));
  // The model and the map of the checkpoint to start from then stand.
  const std::string& file = config.train.init;
  const CheckpointHeader header = CheckpointReader(file).header();
  adopt_model(config, resolved, {file, header.config, header.model});
  const ModelDefinition& model = header.model;
  return with_teacher(plan_request(config, model, words.world));
}

struct TextFile {
  std::string name;  ///< empty: nobody asked for it
  std::function<std::string()> text;
};

Timeline timeline_of(const Plan& plan) {
  const Choice& choice = plan.chosen.choice;
  return {choice.placement, plan.simulation.timeline, plan.costs.update_s,
          fmt::format(
              "{}, {} of {}, {}, {}: {} ms, bubble {:.1f} %",
              counted(choice.placement.pipeline, "rank"), plan.chosen.route,
              counted(choice.placement.passes(), "pass", "passes"), schedule_name(choice.schedule),
              counted(choice.microbatches, "microbatch", "microbatches"),
              four_digits(1e3 * plan.chosen.step_s), std::max(0.0, 100.0 * plan.chosen.bubble))};
}

/// Writes each text that has a file; `report` goes to the terminal unless a text does.
void print(const std::vector<TextFile>& files, const std::function<std::string()>& report) {
  const bool piped = std::any_of(files.begin(), files.end(),
                                 [](const TextFile& file) { return is_device(file.name); });
  if (!piped) std::cout << report();
  for (const auto& [file, text] : files) {
    if (!file.empty()) write_text(file, text(), !piped);
  }
  std::cout << std::flush;
}

/// Before the plan, which may take its time.
void check_outputs(const PlanWords& words) {
  const auto check = [](const std::string& option, const std::string& file,
                        const std::string& extension) {
    if (!file.empty()) check_output_path(option, file, extension);
  };
  check("--svg", words.svg, ".svg");
  check("--trace", words.trace, ".json");
  check("--csv", words.csv, ".csv");
  check("--json", words.json, ".json");
}

void print_plan(const PlanWords& words) {
  const Asked question = asked(words);
  const PlanRequest& request = question.request;
  const Plan plan = make_plan(request);
  print({{words.svg, [&] { return timeline_svg(timeline_of(plan)); }},
         {words.trace, [&] { return timeline_trace(timeline_of(plan)); }},
         {words.csv, [&] { return to_csv(computations_of(plan.step.program)); }},
         {words.json, [&] { return plan_json(plan, request.workload, question.truncated); }}},
        [&] {
          return plan_report(request, plan) + worth_report(request.workload, question.truncated) +
                 question.note;
        });
}

void print_sweep(const PlanWords& words) {
  if (!words.trace.empty() || !words.csv.empty()) {
    throw UserError(
        "--trace and --csv are those of one plan; leave them out, or leave --sweep out");
  }
  const Sweep sweep = sweep_plans(asked(words).request, words.sequences, status_of_first(0));
  print({{words.svg, [&] { return sweep_svg(sweep); }},
         {words.json, [&] { return sweep_json(sweep); }}},
        [&] { return sweep_report(sweep); });
}

}  // namespace

int plan_command(const Arguments& arguments) {
  PlanWords words;
  const CommandLine line{
      "plan",
      "Chooses where weights live and who computes what, when, and tells what a step will cost; "
      "needs no device, no MPI and no data.",
      {{"overrides", &words.overrides, "as for rondo train: group=option, key=value"},
       {"--world",
        &words.world,
        "number of ranks",
        {.required = true, .least = 1, .most = 1 << 20}},
       {"--sweep", &words.sweep,
        "plan every power of two of ranks from a node up to --world, shared and unshared, and find "
        "the links on which a pipeline wins"},
       {"--sequences",
        &words.sequences,
        "with --sweep: sequences of a rank in a step",
        {.shows_default = true, .least = 1, .most = 1 << 16}},
       {"--gpus-per-node",
        &words.gpus_per_node,
        "ranks of a node (cluster.gpus_per_node)",
        {.least = 1, .most = 1 << 20}},
       {"--config-dir", &words.config_dir, "folder(s) of config groups, joined by ':'"},
       {"--json", &words.json, "FILE for the plan as one JSON object", {.path = true}},
       {"--svg", &words.svg, "FILE for a picture of the step", {.path = true}},
       {"--trace",
        &words.trace,
        "FILE for the step as Chrome and Perfetto read it",
        {.path = true}},
       {"--csv",
        &words.csv,
        "FILE for each rank's order of computations, as PyTorch's pipeline schedules print "
        "theirs; distributed.schedule=FILE.csv runs it, or another",
        {.path = true}}},
      plan_examples};
  const std::optional<GivenOptions> given = line.parse(arguments);
  if (!given) return 0;
  if (given->contains("--sequences") && !words.sweep) {
    throw UserError("--sequences counts those of --sweep; a plan's are train.global_batch");
  }
  check_outputs(words);
  words.sweep ? print_sweep(words) : print_plan(words);
  return 0;
}

}  // namespace rondo
