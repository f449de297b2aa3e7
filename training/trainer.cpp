#include "training/trainer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <type_traits>
#include <utility>

#include "base/seconds_since.h"
#include "checkpoint/format/checkpoint.h"
#include "training/accounting.h"
#include "training/microbatches.h"
#include "training/models/evaluation.h"
#include "training/models/local_model_files.h"
#include "training/models/teacher.h"
#include "training/start/plan_request.h"

namespace rondo {
namespace {

using Clock = std::chrono::steady_clock;

/// What the ranks add up after each step, in one sum.
struct StepSums {
  double loss = 0.0;
  double divergence = 0.0;
  double stop_requests = 0.0;
  double ended_saves = 0.0;
  double activation_bytes = 0.0;
  double reduce_bytes = 0.0;
  double gather_bytes = 0.0;
};

StepSums sum_over_ranks(StepSums sums, Communicator& host) {
  static_assert(std::is_standard_layout_v<StepSums> && sizeof(StepSums) % sizeof(double) == 0);
  host.all_reduce_sum({&sums, sizeof(StepSums) / sizeof(double), ElementType::float64});
  return sums;
}

/// " (corpora/a 3.1200, corpora/b 4.0100)", where there are several.
std::string each_held_out(const StepMetrics& metrics) {
  std::vector<std::string> each;
  for (const auto& [name, loss] : metrics.validation_losses) {
    each.push_back(fmt::format("{} {:.4f}", name, loss));
  }
  return each.empty() ? "" : fmt::format(" ({})", fmt::join(each, ", "));
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

LocalModelOptions model_options(const RunSetup& setup, Ranks& ranks) {
  const Config& config = setup.config;
  const bool teaches = has_head(setup.plan, ranks.world().rank());
  return {.precision = Precision::parse(config.train.precision),
          .sequence = config.data.sequence,
          .recompute = config.train.recompute == "layer",
          .zero = config.distributed.zero,
          .device = ranks.device(),
          .teach = teaches ? load_teacher(config, ranks.device()) : Teach{}};
}

/// What brings a gradient of this norm down to `clip`, 0 for any. torch's clip_grad_norm_ adds the
/// same 1e-6.
double clip_factor(double clip, double norm) {
  return clip > 0.0 ? std::min(1.0, clip / (norm + 1e-6)) : 1.0;
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
      passes_(PassSchedule::parse(config_.train.passes)),
      recurrence_(recurrence(setup.model.sharing)),
      world_(ranks.world()),
      signals_(signals),
      corpora_(std::move(setup.corpora)),
      model_(plan_, model_options(setup, ranks), world_),
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

// ------------------------------------------------------------------------------------------------
// A step: gradients of the global batch, their norm, one update.

struct Trainer::Step {
  Pipeline::Run run;
  double norm = 0.0;  ///< of the gradient, before clipping
  double lr = 0.0;
  double update_s = 0.0;  ///< norm, clipping, optimizer
};

Trainer::Step Trainer::train_step(int64_t step) {
  model_.optimizer().clear_gradients();
  Step done{.run = model_.train(batch_at(samples_), {.gradient_scale = 1.0 / tokens_per_step(),
                                                     .depth = depth_of(step),
                                                     .timed = step == config_.log.trace_step})};
  const Clock::time_point computed = Clock::now();
  done.norm = model_.optimizer().gradient_norm();
  if (!std::isfinite(done.norm)) return done;  // the weights stay as they are
  done.lr = config_.optimizer.rate.at(step);
  model_.optimizer().update(config_.optimizer.adamw, done.lr, step,
                            clip_factor(config_.optimizer.clip, done.norm));
  done.update_s = seconds_since(computed);
  return done;
}

/// The rows of this replica of the global batch that begins after so many samples.
MicrobatchSource Trainer::batch_at(int64_t position) const {
  const int64_t own = config_.train.global_batch / model_.layout().replicas;
  const int64_t first = model_.replica() * own;
  return microbatches_of(corpora_.train,
                         {.position = position,
                          .first = first,
                          .stride = config_.train.micro_batch,
                          .end = first + own,
                          .micro_batch = config_.train.micro_batch,
                          .sequence = config_.data.sequence},
                         model_.device());
}

StepPasses Trainer::depth_of(int64_t step) const {
  const auto trained = static_cast<int>(config_.train.backprop_passes);
  if (!recurrence_ || (!passes_.varies() && trained == 0)) return {};
  return {passes_.at(config_.train.seed, step, recurrence_->passes), trained};
}

double Trainer::tokens_per_step() const {
  return static_cast<double>(config_.train.global_batch * config_.data.sequence);
}

// ------------------------------------------------------------------------------------------------
// The run: step, evaluate, report, save.

TrainResult Trainer::run(const RunReport& report) {
  const int64_t last = config_.train.steps;
  Saver saver(config_.checkpoint, checkpoint_dir(config_), last, world_, report.line);
  TimeLeft left = time_left();
  TrainResult result{.step = done_steps_};
  if (!loaded_.empty()) report.line(loaded_);
  if (done_steps_ > 0) report.line(fmt::format("resumes after step {}", done_steps_));
  for (int64_t step = done_steps_ + 1; step <= last && !stopping_; ++step) {
    StepMetrics metrics = measured_step(step, saver);
    left.add_step(metrics.step_s);
    if (evaluations_.after(step)) {
      const Clock::time_point begin = Clock::now();
      evaluate_after(metrics, saver);
      left.add_evaluation(seconds_since(begin));
    }
    report.step({metrics, mfu(metrics), left.after(step)});
    if (step == config_.log.trace_step) trace(report);
    if (metrics.validation_loss) {
      report.line(fmt::format("step {}: held-out loss {:.4f}{}", step, *metrics.validation_loss,
                              each_held_out(metrics)));
      result.validation_loss = metrics.validation_loss;
    }
    if (save_ended_) saver.finish();
    if (saver.due(step, stopping_)) {
      const Clock::time_point begin = Clock::now();
      save(step, metrics, saver);
      left.add_save(seconds_since(begin));
    }
    result.step = step;
    result.loss = metrics.loss;
  }
  compare_with_plan(report);
  result.stopped = stopping_ && result.step < last;
  if (!result.loss) report.line(fmt::format("nothing to do: step {} was the last", done_steps_));
  if (result.stopped) {
    report.line(fmt::format(
        "stopped by a signal after step {}; the same command goes on from there", result.step));
  }
  result.checkpoint = checkpoint_file(checkpoint_dir(config_), result.step);
  return result;
}

/// A step, and what it showed. Collective.
StepMetrics Trainer::measured_step(int64_t step, Saver& saver) {
  const bool traced = step == config_.log.trace_step;
  if (traced) world_.host.barrier();  // so that the ranks' clocks begin together
  const Clock::time_point start = Clock::now();
  const SentBytes before = model_.traffic();
  Step done = train_step(step);
  if (!std::isfinite(done.norm)) {
    saver.give_up(fmt::format("the gradient of step {} is not finite", step));
  }
  if (traced) timeline_ = std::move(done.run.timeline);
  update_s_ = done.update_s;
  const double scale = 1.0 / tokens_per_step();
  const SentBytes sent = model_.traffic() - before;
  const StepSums sums = sum_over_ranks({.loss = done.run.losses[cross_entropy] * scale,
                                        .divergence = done.run.losses[divergence] * scale,
                                        .stop_requests = signals_.requested() ? 1.0 : 0.0,
                                        .ended_saves = saver.ended() ? 1.0 : 0.0,
                                        .activation_bytes = static_cast<double>(sent.activation),
                                        .reduce_bytes = static_cast<double>(sent.reduce),
                                        .gather_bytes = static_cast<double>(sent.gather)},
                                       world_.host);
  if (!std::isfinite(sums.loss + sums.divergence)) {
    saver.give_up(fmt::format("the loss of step {} is not finite", step));
  }
  stopping_ = sums.stop_requests > 0.0;
  save_ended_ = sums.ended_saves == world_.size();
  samples_ += config_.train.global_batch;
  tokens_ += config_.train.global_batch * config_.data.sequence;
  StepMetrics metrics{.step = step,
                      .loss = sums.loss,
                      .grad_norm = done.norm,
                      .lr = done.lr,
                      .tokens = tokens_,
                      .sent_bytes = {static_cast<int64_t>(sums.activation_bytes),
                                     static_cast<int64_t>(sums.reduce_bytes),
                                     static_cast<int64_t>(sums.gather_bytes)}};
  if (!config_.train.distill.empty()) metrics.divergence = sums.divergence;
  if (const StepPasses depth = depth_of(step); depth.passes > 0) metrics.passes = depth.passes;
  if (step % config_.log.every == 0 || step == 1 || step == config_.train.steps) {
    metrics.ranks = gather_ranks({sent, peak_memory_bytes(model_.device())}, world_.host);
  }
  metrics.step_s = seconds_since(start);
  metrics.tokens_per_s = tokens_per_step() / metrics.step_s;
  step_seconds_.push_back(metrics.step_s);
  return metrics;
}

/// The loss of a blend is the mean of its corpora by their weights. Nothing where a signal asks to
/// stop meanwhile. Collective.
std::optional<double> Trainer::held_out_loss(StepMetrics& metrics) {
  const int64_t most = config_.train.eval_batches * config_.train.global_batch;
  const std::vector<int64_t> counts = held_out_counts(corpora_.validation, most);
  double sum = 0.0;
  double weights = 0.0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const HeldOut& corpus = corpora_.validation[i];
    const std::optional<double> loss = evaluate(model_, corpus.samples,
                                                {.samples = counts[i],
                                                 .micro_batch = config_.train.micro_batch,
                                                 .sequence = config_.data.sequence},
                                                world_, [&] { return signals_.requested(); });
    if (!loss) return std::nullopt;
    sum += *loss * corpus.weight;
    weights += corpus.weight;
    if (counts.size() > 1) metrics.validation_losses.emplace_back(corpus.name, *loss);
  }
  return sum / weights;
}

/// Collective.
void Trainer::evaluate_after(StepMetrics& metrics, Saver& saver) {
  metrics.validation_loss = held_out_loss(metrics);
  if (!metrics.validation_loss) {
    stopping_ = true;
    metrics.validation_losses.clear();
  } else if (!std::isfinite(*metrics.validation_loss)) {
    saver.give_up(fmt::format("the held-out loss after step {} is not finite", metrics.step));
  }
}

void Trainer::save(int64_t step, const StepMetrics& metrics, Saver& saver) {
  if (!metrics.validation_loss) check_loss(step, saver);
  saver.save(snapshot(model_, checkpoint_file(checkpoint_dir(config_), step), header_after(step)),
             stopping_);
}

/// The loss of the step was that of the weights before it: one microbatch shows what the new ones
/// are worth. Collective.
void Trainer::check_loss(int64_t step, Saver& saver) {
  double loss = model_.evaluate(batch_at(samples_ - config_.train.global_batch), 1);
  world_.host.all_reduce_sum({&loss, 1, ElementType::float64});
  if (std::isfinite(loss)) return;
  saver.give_up(fmt::format("the loss after step {} is not finite, and it is not saved", step));
}

CheckpointHeader Trainer::header_after(int64_t step) const {
  return {.step = step,
          .tokens = tokens_,
          .samples = samples_,
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
    const int64_t most = config_.train.eval_batches * config_.train.global_batch;
    const std::vector<int64_t> counts = held_out_counts(corpora_.validation, most);
    const auto samples =
        static_cast<double>(std::accumulate(counts.begin(), counts.end(), int64_t{0}));
    guess.evaluation_steps =
        forward_of_step * samples / static_cast<double>(config_.train.global_batch);
  }
  return {
      config_.train.steps, evaluations_, {config_.checkpoint.every, config_.train.steps}, guess};
}

double Trainer::mfu(const StepMetrics& metrics) {
  const double flops = flops_per_token(model_.step(depth_of(metrics.step)), config_.data.sequence);
  return metrics.tokens_per_s * flops / (world_.size() * config_.cluster.device_tflops * 1e12);
}

void Trainer::trace(const RunReport& report) {
  const int64_t step = config_.log.trace_step;
  const StepPasses depth = depth_of(step);
  report.trace({.step = step,
                .kind = "measured",
                .placement = model_.step(depth).placement,
                .ranks = gather_timelines(timeline_, world_.host),
                .update_s = update_s_});
  if (!(depth == StepPasses{})) {
    return report.line("no simulated timeline: the plan's is that of the whole depth");
  }
  report.trace({.step = step,
                .kind = "simulated",
                .placement = plan_.placement(),
                .ranks = plan_.simulation.timeline,
                .update_s = plan_.costs.update_s});
}

void Trainer::compare_with_plan(const RunReport& report) const {
  constexpr size_t warm_up = 2;  // steps in which memory is touched for the first time
  const bool whole = !passes_.varies() && config_.train.backprop_passes == 0;
  if (step_seconds_.size() <= 2 * warm_up || !whole) return;
  const std::string prices =
      config_.cluster.measured
          ? ""
          : " (by the figures of a table; cluster=measured takes this machine's)";
  report.line(compare_step_time(plan_.chosen.step_s,
                                {step_seconds_.begin() + warm_up, step_seconds_.end()}) +
              prices);
}

}  // namespace rondo
