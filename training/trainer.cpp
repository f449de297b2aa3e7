#include "training/trainer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/counted.h"
#include "base/seconds_since.h"
#include "checkpoint/format/checkpoint.h"
#include "distributed/comm/agree.h"
#include "training/accounting.h"
#include "training/control/culprit.h"
#include "training/control/straggler.h"
#include "training/held_out.h"
#include "training/models/local_model_files.h"
#include "training/models/teacher.h"
#include "training/pass_stats.h"
#include "training/start/plan_request.h"
#include "training/step_sums.h"

namespace rondo {
namespace {

using Clock = std::chrono::steady_clock;

/// " (corpora/a 3.1200, corpora/b 4.0100)", where there are several.
std::string each_held_out(const StepMetrics& metrics) {
  std::vector<std::string> each;
  for (const auto& [name, loss] : metrics.validation_losses) {
    each.push_back(fmt::format("{} {:.4f}", name, loss));
  }
  return each.empty() ? "" : fmt::format(" ({})", fmt::join(each, ", "));
}

/// How a run that was stopped goes on.
std::string way_on(StopReason reason) {
  return reason == StopReason::step ? "raise train.exit_at_step to go on from there"
                                    : "the same command goes on from there";
}

/// Whether the last chunk, with the loss, lies on this rank.
bool has_head(const Plan& plan, int world_rank) {
  const Placement& placement = plan.placement();
  return placement.chunks.back().rank == plan.layout().pipeline_rank(world_rank);
}

/// The configuration with what it left open and the plan chose.
Config as_planned(const RunSetup& setup) {
  Config config = setup.config;
  config.train.micro_batch = setup.plan.chosen.choice.micro_batch;
  return config;
}

LocalModelOptions model_options(const RunSetup& setup, Ranks& ranks, HalfBuilders builders) {
  const Config& config = setup.config;
  const bool teaches = has_head(setup.plan, ranks.world().rank());
  return {.precision = Precision::parse(config.train.precision),
          .sequence = config.data.sequence,
          .recompute = config.train.recompute == "layer",
          .zero = config.distributed.zero,
          .device = ranks.device(),
          .teach = teaches ? load_teacher(config, ranks.device()) : Teach{},
          .builders = std::move(builders)};
}

}  // namespace

Plan plan_for(const Config& config, const ModelDefinition& model, int world_size) {
  PlanRequest request = plan_request(config, model, world_size);
  request.workload.teacher_flops = teacher_flops_per_token(config);
  Plan plan = make_plan(request);
  plan.candidates = {};  // for a report: those of a deep model are hundreds of megabytes
  return plan;
}

Trainer::Trainer(RunSetup setup, Ranks& ranks, const StopSignals& signals)
    : config_(as_planned(setup)),
      config_text_(setup.config_text),
      plan_(setup.plan),
      world_(ranks.world()),
      corpora_(std::move(setup.corpora)),
      chaos_(setup.faults, world_.rank()),
      model_(plan_, model_options(setup, ranks, probe_.around(chaos_.around(built_in_halves()))),
             world_),
      steps_(config_, corpora_.train, model_),
      requests_(config_.control, signals, /*has_clock=*/world_.rank() == 0),
      spikes_(config_.control.spike_sigmas),
      evaluations_{corpora_.validation.empty() ? 0 : config_.train.eval_every,
                   corpora_.validation.empty() ? 0 : config_.train.steps} {}

void Trainer::begin(const Start& start) {
  tokenizer_ = start.tokenizer;
  hf_files_ = start.hf_files;
  if (!start.reader) return model_.draw(config_.train.seed);
  const Clock::time_point begin = Clock::now();
  load(model_, *start.reader, {.optimizer = start.resume, .verify = config_.checkpoint.verify},
       world_.host);
  loaded_ = fmt::format("loaded {} in {:.2f} s", start.file, seconds_since(begin));
  if (!start.resume) return;
  done_steps_ = start.reader->header().step;
  tokens_ = start.reader->header().tokens;
  const DataPosition position =
      stored_position(start.reader->header(), start.read_before, corpora_.train, start.file);
  samples_ = samples_of(position);
  corpora_.train.resume(position);
}

TrainResult Trainer::run(const RunReport& report) {
  const int64_t last = config_.train.steps;
  Saver saver(config_.checkpoint, checkpoint_dir(config_), last, world_, report.line);
  saver.resume_best(done_steps_);
  TimeLeft left = time_left();
  TrainResult result{.step = done_steps_};
  if (!loaded_.empty()) report.line(loaded_);
  if (done_steps_ > 0) report.line(fmt::format("resumes after step {}", done_steps_));
  while (result.step < last && !stops()) {
    const int64_t step = result.step + 1;
    StepMetrics metrics = measured_step(step, saver, report);
    left.add_step(metrics.step_s / steps_.batches().share(step));
    if (evaluations_.after(step)) {
      const Clock::time_point begin = Clock::now();
      evaluate_after(metrics, saver);
      left.add_evaluation(seconds_since(begin));
    }
    report.step({metrics, mfu(metrics), left.after(step, steps_.batches().left_after(step, last))});
    if (step == config_.log.trace_step) trace(report);
    if (metrics.validation_loss) {
      report.line(fmt::format("step {}: held-out loss {:.4f}{}", step, *metrics.validation_loss,
                              each_held_out(metrics)));
      result.validation_loss = metrics.validation_loss;
    }
    if (save_ended_) saver.finish();
    result.step = step;
    result.loss = metrics.loss;
    if (last_.updated && config_.control.on_spike == "rewind" && spikes_.add(metrics.loss)) {
      result.step = rewind(step, saver, report);
    } else if (saver.due(step, stops(), metrics.validation_loss)) {
      const Clock::time_point begin = Clock::now();
      save(metrics, saver);
      const double seconds = seconds_since(begin);
      left.add_save(seconds);
      window_[Phase::save] += seconds;
    }
  }
  compare_with_plan(report);
  if (result.step < last) result.stopped = stopping_;
  if (!result.loss) report.line(fmt::format("nothing to do: step {} was the last", done_steps_));
  if (result.stopped != StopReason::none) {
    report.line(fmt::format("stopped by {} after step {}; {}",
                            describe(result.stopped, config_.control), result.step,
                            way_on(result.stopped)));
  }
  result.checkpoint = checkpoint_file(checkpoint_dir(config_), result.step);
  return result;
}

/// A step, and what it showed. Collective.
StepMetrics Trainer::measured_step(int64_t step, Saver& saver, const RunReport& report) {
  const bool traced = step == config_.log.trace_step;
  if (traced) world_.host.barrier();  // so that the ranks' clocks begin together
  const Clock::time_point start = Clock::now();
  const SentBytes before = model_.traffic();
  chaos_.strike(step, model_);
  last_ = steps_.run(step, samples_);
  check_finite(last_, step, saver, report);
  window_ += last_.phases;
  window_[Phase::other] += seconds_since(start) - last_.phases.sum();
  ++window_steps_;
  const SentBytes sent = model_.traffic() - before;
  const StepSums sums =
      sum_over_ranks({.stop_signals = requests_.by_signal() ? 1.0 : 0.0,
                      .time_over = requests_.by_time(seconds_since(start)) ? 1.0 : 0.0,
                      .ended_saves = saver.ended() ? 1.0 : 0.0,
                      .activation_bytes = static_cast<double>(sent.activation),
                      .reduce_bytes = static_cast<double>(sent.reduce),
                      .gather_bytes = static_cast<double>(sent.gather)},
                     world_.host);
  stopping_ = sums.asked();
  if (requests_.by_step(step) && !stops()) stopping_ = StopReason::step;
  save_ended_ = sums.ended_saves == world_.size();
  const int64_t batch = steps_.batches().at(step);
  samples_ += batch;
  tokens_ += batch * config_.data.sequence;
  StepMetrics metrics{.step = step,
                      .loss = last_.loss,
                      .grad_norm = last_.norm,
                      .lr = last_.lr,
                      .tokens = tokens_,
                      .sent_bytes = {static_cast<int64_t>(sums.activation_bytes),
                                     static_cast<int64_t>(sums.reduce_bytes),
                                     static_cast<int64_t>(sums.gather_bytes)},
                      .skipped = !last_.updated,
                      .rewinds = rewinds_};
  if (!config_.train.distill.empty()) metrics.divergence = last_.divergence;
  if (const StepShape shape = steps_.shape_of(step); shape.passes > 0) {
    metrics.passes = shape.passes;
  }
  if (steps_.batches().ramp_steps > 0) metrics.batch = batch;
  if (steps_.reports(step)) {
    for (const auto& [component, norm] : last_.component_norms) {
      metrics.component_norms.emplace_back(to_string(component), norm);
    }
    metrics.ranks = report_ranks(sent, report);
  }
  metrics.step_s = seconds_since(start);
  metrics.per_pass = look_at_passes(step);
  metrics.tokens_per_s = static_cast<double>(batch * config_.data.sequence) / metrics.step_s;
  if (batch == config_.train.global_batch) step_seconds_.push_back(metrics.step_s);
  return metrics;
}

/// What every rank did since the last report, on the first of them; one that lags is named.
/// Collective.
std::vector<RankMetrics> Trainer::report_ranks(const SentBytes& sent, const RunReport& report) {
  const PhaseSeconds mean = window_ / static_cast<double>(window_steps_);
  window_ = {};
  window_steps_ = 0;
  std::vector<RankMetrics> ranks =
      gather_ranks({sent, peak_memory_bytes(model_.device()), mean}, world_.host);
  const std::optional<Straggler> slow = find_straggler(ranks, model_.layout());
  if (slow) report.line(describe(*slow));
  return ranks;
}

/// Of this step's data under the new weights. Empty where it is not time, or nothing recurs.
/// Collective.
std::vector<PassMetrics> Trainer::look_at_passes(int64_t step) {
  const LogConfig& log = config_.log;
  const bool losses = log.pass_loss_every > 0 && step % log.pass_loss_every == 0;
  const bool due = losses || (log.pass_every > 0 && step % log.pass_every == 0);
  if (!due) return {};
  const std::optional<Recurrence> loop = recurrence(model_.model().sharing);
  if (!loop) return {};
  const int64_t position = samples_ - steps_.batches().at(step);
  return rondo::look_at_passes(model_, probe_, steps_.batch_at(step, position), *loop, losses);
}

/// Of a step that updated nothing: the end of the run, or one of a few in a row. Collective.
void Trainer::check_finite(const StepResult& done, int64_t step, Saver& saver,
                           const RunReport& report) {
  skipped_ = done.updated ? 0 : skipped_ + 1;
  if (done.updated) return;
  const std::string what = describe_not_finite(done, step);
  const ControlConfig& control = config_.control;
  if (control.on_nonfinite == "stop") saver.give_up(what);
  if (skipped_ == control.nonfinite_limit) {
    saver.give_up(
        fmt::format("{}, as were those of the {} before it", what, counted(skipped_ - 1, "step")));
  }
  report.line(what + "; the step is skipped, and the weights stay as they are");
}

/// "the loss of step 4 is not finite: attention/1 in layer 5, on rank 0, had it first". Collective.
std::string Trainer::describe_not_finite(const StepResult& done, int64_t step) {
  const char* number = std::isfinite(done.norm) ? "loss" : "gradient";
  std::string text = fmt::format("the {} of step {} is not finite", number, step);
  const std::string culprit = first_culprit(model_, probe_, steps_.batch_at(step, samples_),
                                            steps_.microbatches(step), world_);
  return culprit.empty() ? text : fmt::format("{}: {} had it first", text, culprit);
}

/// Collective.
void Trainer::evaluate_after(StepMetrics& metrics, Saver& saver) {
  const auto stop = [this] { return requests_.by_signal() || requests_.by_time(0.0); };
  const std::optional<HeldOutLoss> found =
      measure_held_out(config_, corpora_, model_, world_, stop);
  if (!found) {
    stopping_ = sum_over_ranks({.stop_signals = requests_.by_signal() ? 1.0 : 0.0,
                                .time_over = requests_.by_time(0.0) ? 1.0 : 0.0},
                               world_.host)
                    .asked();
    return;
  }
  metrics.validation_loss = found->mean;
  metrics.validation_losses = found->each;
  if (!std::isfinite(found->mean)) {
    saver.give_up(fmt::format("the held-out loss after step {} is not finite", metrics.step));
  }
}

void Trainer::save(const StepMetrics& metrics, Saver& saver) {
  if (!metrics.validation_loss && last_.updated) check_loss(metrics.step, saver);
  const std::string file = checkpoint_file(checkpoint_dir(config_), metrics.step);
  saver.save(snapshot(model_, file, header_after(metrics)), stops());
}

/// The loss of the step was that of the weights before it: one microbatch shows what the new ones
/// are worth. Collective.
void Trainer::check_loss(int64_t step, Saver& saver) {
  const int64_t position = samples_ - steps_.batches().at(step);
  double loss = model_.evaluate(steps_.batch_at(step, position), 1);
  world_.host.all_reduce_sum({&loss, 1, ElementType::float64});
  if (std::isfinite(loss)) return;
  saver.give_up(fmt::format("the loss after step {} is not finite, and it is not saved", step));
}

/// The weights of the last checkpoint before the spike, with the data that follows the spike.
/// Returns its step. Collective.
int64_t Trainer::rewind(int64_t step, Saver& saver, const RunReport& report) {
  saver.finish();
  const int64_t healthy = step - spikes_.length();
  const std::string spike =
      fmt::format("the losses of steps {} to {} lie far above those before them ({:.3f})",
                  healthy + 1, step, last_.loss);
  if (rewinds_++ == config_.control.max_rewinds) {
    saver.give_up(fmt::format("{}, after {}", spike, counted(rewinds_ - 1, "rewind")));
  }
  const std::string folder = checkpoint_dir(config_);
  agree(world_.host, [&] {
    if (world_.rank() == 0) set_aside_after(folder, healthy);
  });
  std::vector<std::string> files = list_checkpoints(folder);
  if (files.empty()) saver.give_up(spike + ", and there is no checkpoint before it to go back to");
  const OpenCheckpoint reader = open_first_usable(files, config_, world_.host);
  load(model_, *reader, {.optimizer = true, .verify = config_.checkpoint.verify}, world_.host);
  const int64_t back = reader->header().step;
  tokens_ = reader->header().tokens;
  spikes_.forget_spike();
  report.rewound(back);
  report.line(fmt::format("{}: goes back to step {}, and on with the data after step {}", spike,
                          back, step));
  return back;
}

CheckpointHeader Trainer::header_after(const StepMetrics& metrics) const {
  return {.step = metrics.step,
          .tokens = tokens_,
          .samples = samples_,
          .validation_loss = metrics.validation_loss,
          .position = to_json(corpora_.train.position(samples_)),
          .config = config_text_,
          .model = model_.model(),
          .tokenizer = tokenizer_,
          .hf_files = hf_files_};
}

TimeLeft Trainer::time_left() {
  constexpr double forward_of_step = 1.0 / 3.0;
  constexpr double disk_bytes_per_s = 5e8;
  const auto datasets =
      datasets_of(model_.parameters(), model_.precision().master, /*optimizer=*/true);
  TimeLeft::Guess guess{.save_s = static_cast<double>(bytes_of(datasets)) / disk_bytes_per_s};
  if (!corpora_.validation.empty()) {
    const std::vector<int64_t> counts = samples_to_measure(config_, corpora_);
    const auto samples =
        static_cast<double>(std::accumulate(counts.begin(), counts.end(), int64_t{0}));
    guess.evaluation_steps =
        forward_of_step * samples / static_cast<double>(config_.train.global_batch);
  }
  return {
      config_.train.steps, evaluations_, {config_.checkpoint.every, config_.train.steps}, guess};
}

double Trainer::mfu(const StepMetrics& metrics) {
  const StepPlan& step = model_.step(steps_.shape_of(metrics.step));
  const double flops = flops_per_token(step, config_.data.sequence);
  return metrics.tokens_per_s * flops / (world_.size() * config_.cluster.device_tflops * 1e12);
}

void Trainer::trace(const RunReport& report) {
  const int64_t step = config_.log.trace_step;
  const StepShape shape = steps_.shape_of(step);
  report.trace({.step = step,
                .kind = "measured",
                .placement = model_.step(shape).placement,
                .ranks = gather_timelines(last_.timeline, world_.host),
                .update_s = last_.update_s});
  if (!(shape == StepShape{})) {
    return report.line("no simulated timeline: the plan's is that of a whole step");
  }
  report.trace({.step = step,
                .kind = "simulated",
                .placement = plan_.placement(),
                .ranks = plan_.simulation.timeline,
                .update_s = plan_.costs.update_s});
}

void Trainer::compare_with_plan(const RunReport& report) const {
  constexpr size_t warm_up = 2;  // steps in which memory is touched for the first time
  const bool comparable = config_.cluster.measured && steps_.always_whole();
  if (step_seconds_.size() <= 2 * warm_up || !comparable) return;
  report.line(compare_step_time(plan_.chosen.step_s,
                                {step_seconds_.begin() + warm_up, step_seconds_.end()}));
}

}  // namespace rondo
