#include "training/step.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "training/microbatches.h"

namespace rondo {
namespace {

/// What brings a gradient of this norm down to `clip`, 0 for any. torch's clip_grad_norm_ adds the
/// same 1e-6.
double clip_factor(double clip, double norm) {
  return clip > 0.0 ? std::min(1.0, clip / (norm + 1e-6)) : 1.0;
}

}  // namespace

StepRunner::StepRunner(const Config& config, const SampleSource& samples, LocalModel& model)
    : config_(config),
      samples_(samples),
      model_(model),
      passes_(PassSchedule::parse(config.train.passes)),
      recurrence_(recurrence(model.model().sharing)),
      batches_{.full = config.train.global_batch,
               .from = config.train.batch_ramp_from,
               .ramp_steps = config.train.batch_ramp_steps} {}

StepResult StepRunner::run(int64_t step, int64_t position) {
  ShardedOptimizer& optimizer = model_.optimizer();
  const double scale = 1.0 / tokens_of(step);
  optimizer.clear_gradients();
  Pipeline::Run run = model_.train(
      batch_at(step, position),
      {.gradient_scale = scale, .shape = shape_of(step), .timed = step == config_.log.trace_step});
  PhaseClock clock;
  StepResult result{.timeline = std::move(run.timeline)};
  std::vector<double> losses = {run.losses[cross_entropy] * scale, run.losses[divergence] * scale};
  {
    const PhaseClock::In waiting(clock, Phase::sums);
    result.norm = optimizer.gradient_norm(losses);
  }
  result.loss = losses[0];
  result.divergence = losses[1];
  result.updated = std::isfinite(result.norm + result.loss + result.divergence);
  if (reports(step)) {
    result.component_norms = optimizer.component_norms(components(model_.model()));
  }
  if (result.updated) {
    const PhaseClock::In updating(clock, Phase::optimizer);
    result.lr = config_.optimizer.rate.at(step);
    optimizer.update(config_.optimizer.adamw, result.lr, step,
                     clip_factor(config_.optimizer.clip, result.norm));
  }
  const PhaseSeconds own = clock.seconds();
  result.update_s = own[Phase::sums] + own[Phase::optimizer];
  result.phases = run.phases;
  result.phases += own;
  return result;
}

MicrobatchSource StepRunner::batch_at(int64_t step, int64_t position) const {
  const int64_t own = batches_.at(step) / model_.layout().replicas;
  const int64_t first = model_.replica() * own;
  return microbatches_of(samples_,
                         {.position = position,
                          .first = first,
                          .stride = config_.train.micro_batch,
                          .end = first + own,
                          .micro_batch = config_.train.micro_batch,
                          .sequence = config_.data.sequence},
                         model_.device());
}

StepShape StepRunner::shape_of(int64_t step) const {
  StepShape shape;
  if (recurrence_ && !always_whole()) {
    shape.passes = passes_.at(config_.train.seed, step, recurrence_->passes);
    shape.trained_passes = static_cast<int>(config_.train.backprop_passes);
  }
  if (batches_.at(step) != batches_.full) shape.microbatches = microbatches(step);
  return shape;
}

int StepRunner::microbatches(int64_t step) const {
  const int64_t together = config_.train.micro_batch * model_.layout().replicas;
  return static_cast<int>(batches_.at(step) / together);
}

double StepRunner::tokens_of(int64_t step) const {
  return static_cast<double>(batches_.at(step) * config_.data.sequence);
}

}  // namespace rondo
