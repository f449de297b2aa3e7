#include "training/trainer.h"

#include <c10/core/CachingDeviceAllocator.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>

#include "base/seconds_since.h"
#include "checkpoint/format/checkpoint.h"
#include "distributed/comm/agree.h"
#include "launcher/reports/step_trace.h"
#include "training/frozen_model.h"
#include "training/plan_request.h"

namespace rondo {
namespace {

using Clock = std::chrono::steady_clock;

Microbatch to_microbatch(const Batch& batch, torch::Device device) {
  return {torch::tensor(batch.inputs, torch::kInt64).to(device),
          torch::tensor(batch.targets, torch::kInt64).to(device)};
}

/// Sums `values` over all ranks, in place.
template <typename Values>
void sum_over_ranks(World world, Values& values) {
  world.host.all_reduce_sum(
      {values.data(), static_cast<int64_t>(values.size()), ElementType::float64});
}

/// The most memory of its device that this rank has had so far, in bytes.
int64_t peak_memory_bytes(torch::Device device) {
  if (!device.is_cpu()) {
    const auto stats = c10::getDeviceAllocator(device.type())->getDeviceStats(device.index());
    return stats.allocated_bytes[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)]
        .peak;
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * 1024;
}

SentBytes operator-(const Communicator::Traffic& after, const Communicator::Traffic& before) {
  return {after.activation - before.activation, after.reduce - before.reduce,
          after.gather - before.gather};
}

/// What each rank says of itself, by rank. Collective.
std::vector<RankMetrics> gather_ranks(const RankMetrics& mine, World world) {
  constexpr size_t fields = 4;
  std::vector<double> all(fields * static_cast<size_t>(world.size()), 0.0);
  const auto row = [&](int rank) { return all.begin() + static_cast<int64_t>(fields) * rank; };
  const double numbers[fields] = {
      static_cast<double>(mine.sent_bytes.activation), static_cast<double>(mine.sent_bytes.reduce),
      static_cast<double>(mine.sent_bytes.gather), static_cast<double>(mine.peak_memory_bytes)};
  std::copy(std::begin(numbers), std::end(numbers), row(world.rank()));
  sum_over_ranks(world, all);
  std::vector<RankMetrics> ranks;
  for (int rank = 0; rank < world.size(); ++rank) {
    const auto from = row(rank);
    const auto whole = [&](int field) { return static_cast<int64_t>(from[field]); };
    ranks.push_back({{whole(0), whole(1), whole(2)}, whole(3)});
  }
  return ranks;
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
  const WorldLayout layout{placement.pipeline, plan.chosen.choice.replicas};
  return placement.rank_of(placement.chunks() - 1) == layout.pipeline_rank(world_rank);
}

}  // namespace

double evaluate(Replica& replica, const SampleSource& source, int64_t samples, const Config& config,
                World world) {
  const int64_t micro = config.train.micro_batch;
  // Replicas take turns; the last microbatch may be a short one.
  const int64_t replicas = replica.layout().replicas;
  const int64_t all = (samples + micro - 1) / micro;
  const int64_t own = (all - replica.index() + replicas - 1) / replicas;
  const auto first = [&](int i) { return (i * replicas + replica.index()) * micro; };
  const auto rows = [&](int i) { return std::min(micro, samples - first(i)); };
  const MicrobatchSource microbatches{
      [&](int i) { return to_microbatch(source.batch(0, first(i), rows(i)), replica.device()); },
      [&](int i) { return rows(i) * config.data.sequence; }};
  std::array<double, 1> loss = {replica.evaluate(microbatches, static_cast<int>(own))};
  sum_over_ranks(world, loss);
  return loss[0] / static_cast<double>(samples * config.data.sequence);
}

Plan plan_for(const Config& config, const ModelDefinition& model, int world_size) {
  PlanRequest request = plan_request(config, model, world_size);
  request.workload.teacher_flops = teacher_flops_per_token(config);
  return make_plan(request);
}

Trainer::Trainer(const Config& config, const ModelDefinition& model, const Plan& plan,
                 Corpora corpora, Ranks& ranks, StopSignals& signals)
    : config_(config),
      plan_(plan),
      passes_(PassSchedule::parse(config.train.passes)),
      recurrence_(recurrence(model.sharing)),
      world_(ranks.world()),
      signals_(signals),
      corpora_(std::move(corpora)),
      replica_(model, plan,
               {.precision = Precision::parse(config.train.precision),
                .sequence = config.data.sequence,
                .recompute = config.train.recompute == "layer",
                .zero = config.distributed.zero,
                .device = ranks.device(),
                .teach = has_head(plan, ranks.world().rank()) ? load_teacher(config, ranks.device())
                                                              : Teach{}},
               ranks.world()),
      saves_(Writers::world(), [config](int64_t step) {
        const CheckpointConfig& kept = config.checkpoint;
        prune_checkpoints(checkpoint_dir(config), step, kept.keep, kept.keep_every);
      }) {}

void Trainer::begin(const Start& start) {
  tokenizer_ = start.tokenizer;
  hf_files_ = start.hf_files;
  if (start.file.empty()) {
    replica_.draw(config_.train.seed);
    return;
  }
  const Clock::time_point begin = Clock::now();
  const CheckpointReader reader(start.file);
  replica_.load(reader, {.optimizer = start.resume, .verify = config_.checkpoint.verify},
                world_.host);
  loaded_ = fmt::format("loaded {} in {:.2f} s", start.file, seconds_since(begin));
  if (!start.resume) return;
  done_steps_ = reader.header().step;
  tokens_ = reader.header().tokens;
  const DataPosition position = stored_position(reader.header(), corpora_.train, start.file);
  samples_ = samples_of(position);
  corpora_.train.resume(position);
}

StepDepth Trainer::depth_of(int64_t step) const {
  const auto trained = static_cast<int>(config_.train.backprop_passes);
  if (!recurrence_ || (!passes_.varies() && trained == 0)) return {};
  return {passes_.at(config_.train.seed, step, recurrence_->passes), trained};
}

Pipeline::Run Trainer::forward_backward(int64_t step, const StepDepth& depth) {
  const int64_t global = config_.train.global_batch;
  const int64_t micro = config_.train.micro_batch;
  const int64_t first = replica_.index() * (global / replica_.layout().replicas);
  const double scale = 1.0 / static_cast<double>(global * config_.data.sequence);
  const MicrobatchSource microbatches{
      [&](int i) {
        return to_microbatch(corpora_.train.batch(samples_, first + i * micro, micro),
                             replica_.device());
      },
      [&](int) { return micro * config_.data.sequence; }};
  const bool traced = step == config_.log.trace_step;
  if (traced) world_.host.barrier();  // so that the ranks' clocks begin together
  Pipeline::Run run =
      replica_.train(microbatches, {.gradient_scale = scale, .depth = depth, .timed = traced});
  if (traced) timeline_ = std::move(run.timeline);
  for (auto& [name, sum] : run.losses) sum *= scale;
  return run;
}

StepMetrics Trainer::train_step(int64_t step) {
  const Clock::time_point start = Clock::now();
  const Communicator::Traffic before = replica_.traffic();
  replica_.buffers().clear_gradients();
  const StepDepth depth = depth_of(step);
  Pipeline::Run run = forward_backward(step, depth);
  const double pipeline_s = seconds_since(start);
  StepMetrics metrics{.step = step, .lr = config_.optimizer.rate.at(step)};
  if (depth.passes > 0) metrics.passes = depth.passes;
  metrics.grad_norm = replica_.buffers().gradient_norm();
  if (!std::isfinite(metrics.grad_norm)) {
    throw std::runtime_error(
        fmt::format("the gradient of step {} is not finite: lower optimizer.lr or optimizer.clip; "
                    "the same command goes on from the newest checkpoint in {}",
                    step, checkpoint_dir(config_)));
  }
  const OptimizerConfig& optimizer = config_.optimizer;
  // torch's clip_grad_norm_ adds the same 1e-6.
  const double factor =
      optimizer.clip > 0.0 ? std::min(1.0, optimizer.clip / (metrics.grad_norm + 1e-6)) : 1.0;
  replica_.buffers().update(optimizer.adamw, metrics.lr, step, factor);
  update_s_ = seconds_since(start) - pipeline_s;
  const SentBytes sent = replica_.traffic() - before;
  std::array<double, 7> sums = {
      run.losses[cross_entropy],        run.losses[divergence],
      signals_.requested() ? 1.0 : 0.0, static_cast<double>(sent.activation),
      static_cast<double>(sent.reduce), static_cast<double>(sent.gather),
      saves_.ended() ? 1.0 : 0.0};
  sum_over_ranks(world_, sums);
  metrics.loss = sums[0];
  if (!config_.train.distill.empty()) metrics.divergence = sums[1];
  stopping_ = sums[2] > 0.0;
  save_ended_ = sums[6] == world_.size();
  metrics.sent_bytes = {static_cast<int64_t>(sums[3]), static_cast<int64_t>(sums[4]),
                        static_cast<int64_t>(sums[5])};
  if (step % config_.log.every == 0 || step == 1 || step == config_.train.steps) {
    metrics.ranks = gather_ranks({sent, peak_memory_bytes(replica_.device())}, world_);
  }
  samples_ += config_.train.global_batch;
  tokens_ += config_.train.global_batch * config_.data.sequence;
  metrics.tokens = tokens_;
  metrics.step_s = seconds_since(start);
  metrics.tokens_per_s =
      static_cast<double>(config_.train.global_batch * config_.data.sequence) / metrics.step_s;
  return metrics;
}

bool Trainer::evaluates_after(int64_t step) const {
  if (corpora_.validation.empty()) return false;
  const int64_t every = config_.train.eval_every;
  return step == config_.train.steps || (every > 0 && step % every == 0);
}

bool Trainer::saves_after(int64_t step) const {
  const int64_t every = config_.checkpoint.every;
  return stopping_ || step == config_.train.steps || (every > 0 && step % every == 0);
}

double Trainer::mfu(const StepMetrics& metrics) const {
  const ModelDefinition& model = replica_.model();
  double flops = flops_per_token(model, config_.data.sequence);
  if (metrics.passes) flops *= replica_.executed_share({*metrics.passes, 0});
  return metrics.tokens_per_s * flops / (world_.size() * config_.cluster.device_tflops * 1e12);
}

void Trainer::write_trace(RunLog* log) {
  const int64_t step = config_.log.trace_step;
  const StepDepth depth = depth_of(step);
  Timeline measured{.placement = replica_.placement(depth),
                    .ranks = gather_timelines(timeline_, world_.host),
                    .update_s = update_s_};
  agree(world_.host, [&] {
    if (log == nullptr) return;
    const std::string& folder = config_.log.dir;
    const std::string file = write_step_trace(folder, step, "measured", std::move(measured));
    log->say(fmt::format("timeline of step {} in {} and beside it as .svg", step, file));
    if (!(depth == StepDepth{})) {
      log->say("no simulated timeline: the plan's is that of the whole depth");
      return;
    }
    write_step_trace(folder, step, "simulated",
                     {.placement = plan_.placement(),
                      .ranks = plan_.simulation.timeline,
                      .update_s = plan_.update_s});
  });
}

/// The loss of a blend is the mean of its corpora by their weights.
void Trainer::measure_held_out(StepMetrics& metrics) {
  const int64_t most = config_.train.eval_batches * config_.train.global_batch;
  const std::vector<int64_t> counts = held_out_counts(corpora_.validation, most);
  double sum = 0.0;
  double weights = 0.0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const HeldOut& corpus = corpora_.validation[i];
    const double loss = evaluate(replica_, corpus.samples, counts[i], config_, world_);
    sum += loss * corpus.weight;
    weights += corpus.weight;
    if (counts.size() > 1) metrics.validation_losses.emplace_back(corpus.name, loss);
  }
  metrics.validation_loss = sum / weights;
}

void Trainer::say(RunLog* log, const std::string& line) const {
  if (log != nullptr) log->say(line);
}

Save Trainer::snapshot(int64_t step) {
  const std::string file = checkpoint_file(checkpoint_dir(config_), step);
  const CheckpointHeader header = {.step = step,
                                   .tokens = tokens_,
                                   .samples = samples_,
                                   .position = to_json(corpora_.train.position(samples_)),
                                   .config = to_toml(config_),
                                   .model = replica_.model(),
                                   .tokenizer = tokenizer_,
                                   .hf_files = hf_files_};
  return replica_.snapshot(file, header);
}

/// Tells what became of a save. Without the last one there is nothing to go on to.
void Trainer::settle(const std::function<std::optional<Saved>()>& save, bool last, RunLog* log) {
  try {
    const std::optional<Saved> saved = save();
    if (!saved) return;
    say(log, fmt::format("saved {} in {:.3g} s, of which training waited {:.3g} s", saved->file,
                         saved->seconds, saved->stall_s));
  } catch (const UserError& error) {  // the same on every rank
    const bool goes_on = !last && config_.checkpoint.on_error == "continue";
    if (!goes_on) throw AgreedError(world_.rank() == 0 ? error.what() : "");
    say(log, fmt::format("{}; training goes on without it (checkpoint.on_error=continue)",
                         error.what()));
  }
}

void Trainer::save(int64_t step, RunLog* log) {
  settle([&] { return saves_.finish(); }, /*last=*/false, log);
  const bool last = stopping_ || step == config_.train.steps;
  const Save save = snapshot(step);
  if (config_.checkpoint.async && !last) {
    saves_.start(save);
  } else {
    settle([&] { return saves_.run(save); }, last, log);
  }
}

void Trainer::compare_with_plan(RunLog* log) const {
  constexpr size_t warm_up = 2;  // steps in which memory is touched for the first time
  const bool whole = !passes_.varies() && config_.train.backprop_passes == 0;
  if (step_seconds_.size() <= 2 * warm_up || !whole) return;
  say(log, compare_step_time(plan_.chosen.step_s,
                             {step_seconds_.begin() + warm_up, step_seconds_.end()}));
}

TrainResult Trainer::run() {
  std::optional<RunLog> files;
  agree(world_.host, [&] {
    if (world_.rank() == 0) files.emplace(config_, done_steps_);
  });
  RunLog* log = files ? &*files : nullptr;
  TrainResult result{.step = done_steps_};
  if (!loaded_.empty()) say(log, loaded_);
  if (done_steps_ > 0) say(log, fmt::format("resumes after step {}", done_steps_));
  for (int64_t step = done_steps_ + 1; step <= config_.train.steps && !stopping_; ++step) {
    StepMetrics metrics = train_step(step);
    if (evaluates_after(step)) measure_held_out(metrics);
    if (log != nullptr) log->add(metrics, mfu(metrics));
    if (step == config_.log.trace_step) write_trace(log);
    step_seconds_.push_back(metrics.step_s);
    if (metrics.validation_loss) {
      say(log, fmt::format("step {}: held-out loss {:.4f}{}", step, *metrics.validation_loss,
                           each_held_out(metrics)));
      result.validation_loss = metrics.validation_loss;
    }
    if (save_ended_) settle([&] { return saves_.finish(); }, /*last=*/false, log);
    if (saves_after(step)) save(step, log);
    result.step = step;
    result.loss = metrics.loss;
  }
  compare_with_plan(log);
  result.stopped = stopping_ && result.step < config_.train.steps;
  if (!result.loss) say(log, fmt::format("nothing to do: step {} was the last", done_steps_));
  if (result.stopped) {
    say(log, fmt::format("stopped by a signal after step {}; the same command goes on from there",
                         result.step));
  }
  result.checkpoint = checkpoint_file(checkpoint_dir(config_), result.step);
  return result;
}

}  // namespace rondo
