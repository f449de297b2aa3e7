#include "launcher/commands/plan_sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "base/counted.h"
#include "base/user_error.h"
#include "distributed/plan/plan.h"
#include "model/definition/pass_worth.h"

namespace rondo {
namespace {

/// The request on so many ranks, with so many sequences each.
PlanRequest on(PlanRequest request, int world, int sequences) {
  request.world = world;
  request.global_batch = int64_t{1} * world * sequences;
  return request;
}

/// The best plan, if one fits.
std::optional<Plan> plan_of(const PlanRequest& request) {
  try {
    return make_plan(request);
  } catch (const UserError&) {
    return std::nullopt;
  }
}

SweepPoint point_of(const PlanRequest& request) {
  SweepPoint point{.world = request.world};
  const std::optional<Plan> plan = plan_of(request);
  if (!plan) return point;
  const Candidate& chosen = plan->chosen;
  const double ranks = request.world;
  const auto tokens = static_cast<double>(request.global_batch * request.workload.sequence);
  const SentBytes& bytes = chosen.bytes;
  point.pipeline = chosen.choice.placement.pipeline;
  point.route = chosen.route;
  point.tokens_per_s = tokens / chosen.step_s / ranks;
  point.bubble = std::max(0.0, chosen.bubble);
  point.sent_bytes = static_cast<double>(bytes.activation + bytes.reduce + bytes.gather) / ranks;
  point.memory_bytes = static_cast<double>(chosen.most_memory());
  return point;
}

bool pipeline_wins(PlanRequest request, double inter_gbs) {
  Machine& machine = request.machine;
  machine.node_bytes_per_s *= 1e9 * inter_gbs / machine.inter.bytes_per_s;
  machine.inter.bytes_per_s = 1e9 * inter_gbs;
  const std::optional<Plan> plan = plan_of(request);
  return plan && plan->chosen.choice.placement.pipeline > 1;
}

/// The link at which a pipeline begins to win, between 0.1 GB/s and 1 TB/s, to a tenth.
double limit_of(const PlanRequest& request) {
  double slow = 0.1;
  double fast = 1000.0;
  if (pipeline_wins(request, fast)) return std::numeric_limits<double>::infinity();
  if (!pipeline_wins(request, slow)) return 0.0;
  while (fast / slow > 1.1) {
    const double middle = std::sqrt(slow * fast);
    (pipeline_wins(request, middle) ? slow : fast) = middle;
  }
  return std::sqrt(slow * fast);
}

std::string blocks(const ModelDefinition& model) {
  const int unique = model.sharing.unique(Slot::attention);
  return unique == model.depth() ? "unshared" : counted(unique, "block");
}

}  // namespace

Sweep sweep_plans(const PlanRequest& request, int sequences,
                  const std::function<void(const std::string&)>& show) {
  const ModelSpec& spec = request.workload.model.spec;
  Sweep sweep{.title = fmt::format("{} layers of {}, {} tokens a sequence, {} a rank", spec.depth,
                                   spec.hidden, request.workload.sequence,
                                   counted(int64_t{sequences}, "sequence")),
              .inter_gbs = request.machine.inter.bytes_per_s / 1e9};
  std::vector<int> worlds;
  for (int world = std::max(2, request.machine.ranks_per_node); world <= request.world;
       world *= 2) {
    worlds.push_back(world);
  }
  std::vector<ModelDefinition> models = {request.workload.model};
  if (blocks(models[0]) != "unshared") models.push_back(unshared(models[0], models[0].depth()));
  for (const ModelDefinition& model : models) {
    PlanRequest own = request;
    own.workload.model = model;
    own.pipeline = 0;
    SweepSide side{.name = blocks(model)};
    for (const int world : worlds) {
      show(fmt::format("{}, {} ranks", side.name, world));
      side.points.push_back(point_of(on(own, world, sequences)));
    }
    sweep.sides.push_back(std::move(side));
    for (const int many : {std::max(1, sequences / 4), sequences, 4 * sequences}) {
      Frontier frontier{
          .name = fmt::format("{}, {} a rank", blocks(model), counted(int64_t{many}, "sequence")),
          .shared = &model == &models[0]};
      for (const int world : worlds) {
        show(fmt::format("{}, {} ranks: the link at which a pipeline wins", frontier.name, world));
        frontier.worlds.push_back(world);
        frontier.inter_gbs.push_back(limit_of(on(own, world, many)));
      }
      sweep.frontiers.push_back(std::move(frontier));
    }
  }
  show("");
  return sweep;
}

}  // namespace rondo
