#include "distributed/plan/depth.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <stdexcept>

#include "base/user_error.h"
#include "distributed/plan/check.h"

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

/// The plan's chunks without the layers that are left out, and without the chunks that nothing is
/// left of; but the head stays on its rank.
Placement shortened(const Placement& whole, const std::vector<int>& layers) {
  const std::set<int> executed(layers.begin(), layers.end());
  Placement part{.pipeline = whole.pipeline, .route = whole.route, .cuts = {0}};
  for (int k = 0; k < whole.chunks(); ++k) {
    int halves = 0;
    for (int half = whole.chunk(k).begin; half < whole.chunk(k).end; ++half) {
      halves += executed.contains(half / 2) ? 1 : 0;
    }
    const int rank = whole.rank_of(k);
    const bool is_head = k + 1 == whole.chunks();
    if (halves == 0 && !(is_head && part.ranks.back() != rank)) continue;
    part.ranks.push_back(rank);
    part.cuts.push_back(part.cuts.back() + halves);
  }
  const auto passes = (part.ranks.size() + static_cast<size_t>(part.pipeline) - 1) /
                      static_cast<size_t>(part.pipeline);
  part.route.resize(std::min(passes, part.route.size()));
  return part;
}

/// Cuts where the trained layers begin, in half layers.
void train_from(Placement& placement, int half) {
  const auto cut = std::lower_bound(placement.cuts.begin(), placement.cuts.end(), half);
  const auto k = cut - placement.cuts.begin();
  placement.trained_from = static_cast<int>(k);
  if (*cut == half) return;
  placement.ranks.insert(placement.ranks.begin() + k, placement.ranks[static_cast<size_t>(k) - 1]);
  placement.cuts.insert(cut, half);
}

/// The plan's groups as the chunks of another placement use them.
std::vector<BufferGroup> regrouped(std::vector<BufferGroup> groups, const ModelParts& model,
                                   const Placement& placement) {
  std::map<std::string, size_t> group_of;
  for (size_t g = 0; g < groups.size(); ++g) {
    groups[g].chunks.clear();
    for (const std::string& component : groups[g].components) group_of[component] = g;
  }
  for (int k = 0; k < placement.chunks(); ++k) {
    for (const std::string& component : components_of(model, placement.chunk(k))) {
      std::vector<int>& chunks = groups[group_of.at(component)].chunks;
      if (chunks.empty() || chunks.back() != k) chunks.push_back(k);
    }
  }
  return groups;
}

std::vector<ChunkCost> durations(const Placement& placement) {
  std::vector<ChunkCost> list;
  for (int k = 0; k < placement.chunks(); ++k) {
    const double halves = std::max(1, placement.chunk(k).end - placement.chunk(k).begin);
    list.push_back({halves, halves, halves});
  }
  return list;
}

}  // namespace

StepPlan whole_step(const Plan& plan, const ModelParts& model) {
  StepPlan step{.placement = plan.placement(),
                .groups = plan.groups,
                .reduced_groups = plan.reduced_groups,
                .program = plan.program};
  step.layers.resize(static_cast<size_t>(model.map.depth()));
  std::iota(step.layers.begin(), step.layers.end(), 0);
  return step;
}

StepPlan step_of(const Plan& plan, const ModelParts& model, const StepDepth& depth) {
  const std::optional<Recurrence> all = recurrence(model.map);
  if (!all || depth.passes < 1 || depth.passes > all->passes) {
    throw std::logic_error("the map has no such passes");
  }
  if (plan.chosen.choice.schedule == ScheduleKind::given) {
    throw UserError(
        "distributed.schedule: an order from a file is that of a whole step; under train.passes "
        "and train.backprop_passes choose a kind, or auto");
  }
  StepPlan step{.layers = executed_layers(*all, depth.passes)};
  ModelParts part = model;
  part.layers = step.layers;
  step.placement = shortened(plan.placement(), step.layers);
  if (depth.trained_passes > 0 && depth.trained_passes < depth.passes) {
    const int untrained = all->prelude + (depth.passes - depth.trained_passes) * all->period;
    train_from(step.placement, 2 * untrained);
  }
  step.groups = regrouped(plan.groups, part, step.placement);
  std::vector<Reduction> sums;
  for (int g : plan.reduced_groups) {
    const BufferGroup& group = step.groups[static_cast<size_t>(g)];
    // What no trained chunk uses has no gradient: all ranks know, and nobody sends it.
    if (group.chunks.empty() || group.chunks.back() < step.placement.trained_from) continue;
    step.reduced_groups.push_back(g);
    sums.push_back(group);
  }
  const Choice& choice = plan.chosen.choice;
  const ScheduleOptions options{choice.schedule, choice.microbatches, durations(step.placement)};
  step.program = lower(generate(options, step.placement), step.placement, sums);
  const auto complaints = check(step.program, {step.placement, choice.microbatches, sums, {}});
  if (!complaints.empty()) throw std::logic_error("the step is not sound: " + complaints.front());
  return step;
}

}  // namespace rondo
