#include "training/models/evaluation.h"

#include <algorithm>

#include "training/microbatches.h"

namespace rondo {
namespace {

double sum_over_ranks(double value, World world) {
  world.host.all_reduce_sum({&value, 1, ElementType::float64});
  return value;
}

}  // namespace

std::optional<double> evaluate(LocalModel& model, const SampleSource& source,
                               const Evaluation& evaluation, World world,
                               const std::function<bool()>& stop) {
  const auto& [samples, micro, sequence, show] = evaluation;
  // Replicas take turns.
  const int64_t replicas = model.layout().replicas;
  const int64_t all = (samples + micro - 1) / micro;
  const int64_t own = (all - model.replica() + replicas - 1) / replicas;
  const MicrobatchSource microbatches = microbatches_of(source,
                                                        {.first = model.replica() * micro,
                                                         .stride = replicas * micro,
                                                         .end = samples,
                                                         .micro_batch = micro,
                                                         .sequence = sequence},
                                                        model.device());
  // So many at a time fill the pipeline, and bound what the first rank may run ahead.
  const int64_t at_a_time = int64_t{4} * model.layout().pipeline;
  const int64_t most = (all + replicas - 1) / replicas;
  double loss = 0.0;
  for (int64_t first = 0; first < most; first += at_a_time) {
    if (stop && sum_over_ranks(stop() ? 1.0 : 0.0, world) > 0.0) return std::nullopt;
    const int64_t count = std::clamp<int64_t>(own - first, 0, at_a_time);
    loss += model.evaluate(microbatches_from(microbatches, static_cast<int>(first)),
                           static_cast<int>(count));
    if (show) show(std::min(samples, (first + at_a_time) * replicas * micro));
  }
  return sum_over_ranks(loss, world) / static_cast<double>(samples * sequence);
}

}  // namespace rondo
