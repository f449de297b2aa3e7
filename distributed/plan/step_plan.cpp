#include "distributed/plan/step_plan.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <stdexcept>

#include "base/user_error.h"
#include "distributed/plan/schedule/check.h"
#include "distributed/plan/schedule/lower.h"
#include "model/definition/recurrence.h"

namespace rondo {
namespace {

std::vector<int> executed_layers(const Recurrence& all, int passes) {
  std::vector<int> layers(static_cast<size_t>(all.prelude + passes * all.period));
  std::iota(layers.begin(), layers.end(), 0);
  for (int i = 0; i < all.coda; ++i) {
    layers.push_back(all.prelude + all.passes * all.period + i);
  }
  return layers;
}

/// The chunks without the layers that are left out, and without the chunks that nothing is left of;
/// but the head stays on its rank.
Placement shortened(const StepPlan& whole, const std::vector<int>& layers) {
  const std::set<int> executed(layers.begin(), layers.end());
  std::vector<int> cuts = {0};
  std::vector<int> ranks;
  for (const Chunk& chunk : whole.placement.chunks) {
    int halves = 0;
    for (int half = chunk.halves.begin; half < chunk.halves.end; ++half) {
      halves += executed.contains(half_layer(whole.model, half).layer) ? 1 : 0;
    }
    const bool keeps_head = chunk.ends_with_head && !ranks.empty() && ranks.back() != chunk.rank;
    if (halves == 0 && !keeps_head) continue;
    ranks.push_back(chunk.rank);
    cuts.push_back(cuts.back() + halves);
  }
  return place(whole.placement.pipeline, cuts, ranks);
}

/// Cuts where the trained halves begin.
Placement trained_from(const Placement& placement, int half) {
  std::vector<int> cuts = placement.cuts();
  std::vector<int> ranks;
  for (const Chunk& chunk : placement.chunks) ranks.push_back(chunk.rank);
  const auto cut = std::lower_bound(cuts.begin(), cuts.end(), half);
  if (*cut != half) {
    const auto k = cut - cuts.begin();
    ranks.insert(ranks.begin() + k, ranks[static_cast<size_t>(k) - 1]);
    cuts.insert(cut, half);
  }
  Placement part = place(placement.pipeline, cuts, ranks);
  for (Chunk& chunk : part.chunks) chunk.trained = chunk.halves.begin >= half;
  return part;
}

std::vector<ChunkCost> durations(const Placement& placement) {
  std::vector<ChunkCost> list;
  for (const Chunk& chunk : placement.chunks) {
    const double halves = std::max(1, chunk.halves.end - chunk.halves.begin);
    list.push_back({halves, halves, halves});
  }
  return list;
}

void set_passes(StepPlan& step, const StepShape& shape) {
  const std::optional<Recurrence> all = recurrence(step.model.sharing);
  if (!all || shape.passes < 1 || shape.passes > all->passes) {
    throw std::logic_error("the map has no such passes");
  }
  const StepPlan whole = step;
  step.model.executed = executed_layers(*all, shape.passes);
  step.placement = shortened(whole, step.model.executed);
  if (shape.trained_passes > 0 && shape.trained_passes < shape.passes) {
    const int untrained = all->prelude + (shape.passes - shape.trained_passes) * all->period;
    const auto branches = static_cast<int>(step.model.branches.size());
    step.placement = trained_from(step.placement, branches * untrained);
  }
  step.groups = regrouped(whole.groups, step.model, step.placement);
}

}  // namespace

StepPlan plan_step(const StepPlan& whole, const StepShape& shape) {
  if (shape == StepShape{}) return whole;
  if (whole.schedule == ScheduleKind::given) {
    throw UserError(
        "distributed.schedule: an order from a file is that of a whole step; under train.passes, "
        "train.backprop_passes and train.batch_ramp_steps choose a kind, or auto");
  }
  StepPlan step = whole;
  if (shape.passes != 0) set_passes(step, shape);
  if (shape.microbatches != 0) step.microbatches = shape.microbatches;
  const ScheduleOptions options{step.schedule, step.microbatches, durations(step.placement)};
  step.program = lower(generate(options, step.placement), step.placement, step.groups);
  const auto complaints = check(step.program, {step.placement, step.microbatches, step.groups, {}});
  if (!complaints.empty()) throw std::logic_error("the step is not sound: " + complaints.front());
  return step;
}

}  // namespace rondo
