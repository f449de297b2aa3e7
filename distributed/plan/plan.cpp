#include "distributed/plan/plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string_view>

#include "base/user_error.h"
#include "distributed/plan/schedule/check.h"
#include "distributed/plan/schedule/lower.h"
#include "distributed/plan/schedule/schedule_text.h"
#include "distributed/plan/search.h"

namespace rondo {
namespace {

/// FNV-1a.
uint64_t hash_of(const std::string& text) {
  uint64_t hash = 14695981039346656037u;
  for (unsigned char c : text) hash = (hash ^ c) * 1099511628211u;
  return hash;
}

/// A key that makes a plan smaller.
struct Relief {
  std::string_view override;
  void (*apply)(PlanRequest& request);
};

constexpr std::array<Relief, 4> reliefs = {{
    {"distributed.zero=1", [](PlanRequest& r) { r.workload.zero = 1; }},
    {"train.recompute=layer", [](PlanRequest& r) { r.workload.recompute = true; }},
    {"train.micro_batch=1", [](PlanRequest& r) { r.workload.micro_batch = 1; }},
    {"distributed.pipeline=auto", [](PlanRequest& r) { r.pipeline = 0; }},
}};

bool fits(const PlanRequest& request) {
  const CostModels models(request);
  std::vector<Candidate> list = candidates(request, models);
  return search(models, list) != nullptr;
}

/// The first single key that helps, or as many as it takes.
std::string nearest_that_fits(const PlanRequest& request) {
  PlanRequest all = request;
  std::string overrides;
  for (const Relief& relief : reliefs) {
    PlanRequest one = request;
    relief.apply(one);
    if (fits(one)) return std::string(relief.override);
  }
  for (const Relief& relief : reliefs) {
    relief.apply(all);
    overrides += fmt::format("{}{}", overrides.empty() ? "" : " ", relief.override);
    if (fits(all)) return overrides;
  }
  return "a smaller model, or more ranks";
}

/// Why plain replicas are not among the candidates, where the length of the pipeline is open; empty
/// where they are.
std::string why_no_pipeline_of_one(PlanRequest request, const std::vector<Candidate>& list) {
  const bool there = std::any_of(list.begin(), list.end(), [](const Candidate& candidate) {
    return candidate.choice.placement.pipeline == 1;
  });
  if (request.pipeline != 0 || there) return "";
  request.pipeline = 1;
  try {
    candidates(request, CostModels(request));
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

[[noreturn]] void refuse(const PlanRequest& request, const std::vector<Candidate>& list) {
  const Candidate& least = *std::min_element(
      list.begin(), list.end(),
      [](const Candidate& a, const Candidate& b) { return a.most_memory() < b.most_memory(); });
  throw UserError(fmt::format(
      "no plan fits in cluster.device_memory_gb = {:.4g}: the least, distributed.pipeline = {} on "
      "route {} with {}, needs {:.4g} GB; raise the key if a rank has more; closest valid value: "
      "{}",
      static_cast<double>(request.machine.memory_bytes) / 1e9, least.choice.placement.pipeline,
      least.route, schedule_name(least.choice.schedule),
      static_cast<double>(least.most_memory()) / 1e9, nearest_that_fits(request)));
}

}  // namespace

double Plan::gather_s() const {
  const std::vector<double>& ready = costs.step.rank_ready_s;
  return *std::max_element(ready.begin(), ready.end());
}

Plan make_plan(const CostModel& model, const Choice& choice) {
  const Placement& placement = choice.placement;
  Plan plan;
  plan.costs = model.placement(placement, choice.layout(), splits_backward(choice));
  plan.chosen = price(choice, model, plan.costs);
  const ScheduleOptions options = schedule_options(choice, plan.costs);
  plan.step = {.model = model.workload().model,
               .placement = placement,
               .groups = plan.costs.groups,
               .schedule = choice.schedule,
               .microbatches = choice.microbatches,
               .program = lower(generate(options, placement), placement, plan.costs.groups)};
  const std::vector<std::string> complaints =
      check(plan.step.program,
            {placement, choice.microbatches, plan.step.groups, live_bounds(options, placement)});
  if (!complaints.empty()) throw std::logic_error("the plan is not sound: " + complaints.front());
  plan.simulation = simulate(plan.step.program, placement, plan.step.groups, plan.costs.step);
  set_simulated(plan.simulation.step_s, plan.simulation.peak_live_bytes, model, plan.costs,
                plan.chosen);
  return plan;
}

Plan make_plan(const PlanRequest& request) {
  const CostModels models(request);
  std::vector<Candidate> list = candidates(request, models);
  const Candidate* best = search(models, list);
  if (best == nullptr) refuse(request, list);
  Plan plan = make_plan(models.of(best->choice), best->choice);
  for (Candidate& candidate : list) {
    if (candidate.choice == plan.chosen.choice) candidate = plan.chosen;
  }
  plan.candidates = std::move(list);
  plan.without_pipeline = why_no_pipeline_of_one(request, plan.candidates);
  return plan;
}

namespace {

std::string faster(const Candidate& winner, const Candidate& other) {
  const double percent = 100.0 * (other.step_s / winner.step_s - 1.0);
  if (percent >= 0.05) return fmt::format("{:.1f} % faster than", percent);
  return fmt::format("as fast, to {:.1f} %, as", -percent);
}

}  // namespace

std::string explain(const Plan& plan) {
  const Candidate& winner = plan.chosen;
  const Candidate* other = nullptr;
  for (const Candidate& candidate : plan.candidates) {
    const bool same = candidate.route == winner.route &&
                      candidate.choice.placement.pipeline == winner.choice.placement.pipeline;
    const bool slower = candidate.step_s >= winner.step_s;
    if ((same && slower) || !candidate.fits || !candidate.simulated) continue;
    if (other == nullptr || candidate.step_s < other->step_s) other = &candidate;
  }
  const auto name = [](const Candidate& c) {
    return fmt::format("pipeline {} on {} x {}, {}", c.choice.placement.pipeline, c.route,
                       c.choice.placement.passes(), schedule_name(c.choice.schedule));
  };
  if (other == nullptr) return fmt::format("{}: nothing else was open", name(winner));
  const auto gigabytes = [](int64_t bytes) { return static_cast<double>(bytes) / 1e9; };
  return fmt::format(
      "{} is {} {}: bubble {:.1f} against {:.1f} %, {} against {} copies, "
      "{:.3g} against {:.3g} GB reduced and {:.3g} against {:.3g} GB of activations sent",
      name(winner), faster(winner, *other), name(*other), 100.0 * winner.bubble,
      100.0 * other->bubble, winner.copies, other->copies, gigabytes(winner.bytes.reduce),
      gigabytes(other->bytes.reduce), gigabytes(winner.bytes.activation),
      gigabytes(other->bytes.activation));
}

uint64_t fingerprint(const Plan& plan) {
  std::string text = to_csv(plan.step.program);
  text += plan.layout().neighbours == Neighbours::stages ? "stages\n" : "replicas\n";
  for (const ComponentGroup& group : plan.step.groups) {
    text += fmt::format("{}:", fmt::join(group.world_ranks(), ","));
    for (const Component& component : group.components) text += to_string(component) + ",";
    text += "\n";
  }
  for (const Chunk& chunk : plan.placement().chunks) {
    text += fmt::format("{}-{} on {}\n", chunk.halves.begin, chunk.halves.end, chunk.rank);
  }
  return hash_of(text);
}

}  // namespace rondo
