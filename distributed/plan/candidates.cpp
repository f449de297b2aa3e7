#include "distributed/plan/candidates.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <optional>
#include <utility>

#include "base/counted.h"
#include "base/user_error.h"
#include "distributed/plan/route.h"
#include "distributed/plan/route_names.h"
#include "distributed/plan/schedule/check.h"
#include "distributed/plan/schedule/lower.h"

namespace rondo {
namespace {

std::vector<int> divisors(int number) {
  std::vector<int> list;
  for (int d = 1; d <= number; ++d) {
    if (number % d == 0) list.push_back(d);
  }
  return list;
}

/// The member of `list` that is next to `value`.
int closest(const std::vector<int>& list, int value) {
  return *std::min_element(list.begin(), list.end(), [value](int a, int b) {
    return std::abs(a - value) < std::abs(b - value);
  });
}

/// How many microbatches each replica runs, if its share of the batch is whole.
std::optional<int> microbatches(const PlanRequest& request, int pipeline) {
  const int64_t unit = request.world / pipeline * request.workload.micro_batch;
  if (request.global_batch % unit != 0) return std::nullopt;
  return static_cast<int>(request.global_batch / unit);
}

/// The pipeline lengths that are open.
std::vector<int> pipelines(const PlanRequest& request, const Uses& uses) {
  const int wanted = request.pipeline;
  const int depth = uses.layers;
  const int pieces = uses.whole_layers ? depth : uses.halves();
  std::vector<int> whole;
  std::vector<int> possible;
  for (int pipeline : divisors(request.world)) {
    if (pipeline > pieces) break;
    whole.push_back(pipeline);
    if (microbatches(request, pipeline)) possible.push_back(pipeline);
  }
  const int longest = whole.back();
  const std::vector<int>& able = possible.empty() ? whole : possible;
  if (wanted != 0 && request.world % wanted != 0) {
    throw UserError(
        fmt::format("distributed.pipeline = {} does not divide the {}; closest valid value: {}",
                    wanted, counted(request.world, "rank"), closest(able, wanted)));
  }
  if (wanted > pieces) {
    throw UserError(fmt::format(
        "distributed.pipeline = {}: {} can be cut for {} at most; closest valid value: {}", wanted,
        counted(depth, "layer"), counted(pieces, "rank"), closest(able, wanted)));
  }
  if (wanted != 0 && microbatches(request, wanted)) return {wanted};
  if (wanted == 0 && !possible.empty()) return possible;
  const int replicas = request.world / (wanted == 0 ? longest : wanted);
  const int64_t unit = replicas * request.workload.micro_batch;
  throw UserError(fmt::format(
      "train.global_batch = {}: {} data replicas of train.micro_batch = {} need a multiple of {}; "
      "closest valid value: {}{}",
      request.global_batch, replicas, request.workload.micro_batch, unit,
      std::max<int64_t>(1, (request.global_batch + unit / 2) / unit) * unit,
      possible.empty() ? ""
                       : fmt::format(", or distributed.pipeline={}", closest(possible, wanted))));
}

/// Tries what may be refused, and keeps the first reason.
class Attempts {
 public:
  template <typename Attempt>
  void make(Attempt attempt) {
    try {
      attempt();
    } catch (const UserError& error) {
      if (reason_.empty()) reason_ = error.what();
    }
  }
  /// In place of a reason that says less.
  void refuse(const std::string& reason) { reason_ = reason; }
  const std::string& reason() const { return reason_; }

 private:
  std::string reason_;
};

using Placements = std::vector<Placement>;

/// A placement in whole layers; in halves of layers where there are not enough.
Placement whole_or_half(PlacementOptions options, const Uses& uses) {
  try {
    return make_placement(options, uses);
  } catch (const UserError&) {
    if (uses.whole_layers) throw;
    options.half_layers = true;
    return make_placement(options, uses);
  }
}

/// How long a microbatch takes in parts of a model, forward and backward.
struct Shares {
  double layers_s = 0.0;
  double embedding_s = 0.0;
  double head_s = 0.0;
  double all_s = 0.0;
};

Shares shares_of(const CostModel& costs) {
  const int halves = costs.uses().halves();
  const auto besides = [&](const Chunk& end) {
    return seconds(costs.chunk(end, false)) - seconds(costs.layers(end.halves, false));
  };
  return {
      seconds(costs.layers({0, halves}, false)), besides({.halves = {0, 1}, .embeds = true}),
      besides({.halves = {halves - 1, halves}, .ends_with_head = true}),
      seconds(costs.chunk({.halves = {0, halves}, .embeds = true, .ends_with_head = true}, false))};
}

/// Shares of a pass that give every rank the same work, so that those with the embedding or the
/// head run fewer layers, but one in each pass.
std::vector<int> fair_weights(const Placement& placement, int layers, const Shares& shares) {
  std::vector<double> besides(static_cast<size_t>(placement.pipeline), 0.0);
  besides[placement.rank_of(0)] += shares.embedding_s;
  besides[placement.rank_of(placement.size() - 1)] += shares.head_s;
  const double least = 1.0 * placement.passes() / layers;  // one layer
  double missing = 0.0;
  double able = 0.0;  // ranks that can give
  std::vector<double> parts;
  for (double extra : besides) {
    parts.push_back((shares.all_s / placement.pipeline - extra) / shares.layers_s);
    missing += std::max(0.0, least - parts.back());
    able += parts.back() > least ? 1.0 : 0.0;
  }
  std::vector<int> weights;
  for (double part : parts) {
    const double fair = part > least ? part - missing / able : least;
    weights.push_back(static_cast<int>(std::lround(1e6 * std::max(fair, least))));
  }
  return weights;
}

/// What one route with so many passes leaves open: equal shares, and fair ones unless they make
/// copies.
Placements variants(PlacementOptions options, const Uses& uses, const Shares& shares) {
  const Placement equal = whole_or_half(options, uses);
  if (!options.cuts.empty()) return {equal};
  options.half_layers = equal.size() > uses.layers;
  options.weights = fair_weights(equal, uses.layers, shares);
  try {
    const Placement fair = make_placement(options, uses);
    if (count_copies(uses, fair) <= count_copies(uses, equal)) return {equal, fair};
  } catch (const UserError&) {
    return {equal};  // a rank would be left without a layer
  }
  return {equal};
}

/// Routes and passes that a request leaves open.
std::vector<std::pair<std::string, int>> routes(const PlanRequest& request, int pipeline,
                                                int halves) {
  const bool open = request.route == "auto";
  const int most = std::max(1, halves / pipeline);
  std::vector<std::pair<std::string, int>> list;
  const auto add = [&](const std::string& route, int fewest) {
    const int first = request.passes == 0 ? fewest : request.passes;
    const int last = request.passes == 0 ? most : request.passes;
    for (int passes = first; passes <= last; ++passes) list.emplace_back(route, passes);
  };
  if (open && request.passes <= 1) list.emplace_back("contiguous", 1);
  for (const char* route : {"loop", "vee", "mixed"}) {
    // One rank gains nothing from more than one chunk, unless it is asked for.
    if (open && (request.passes > 1 || (request.passes == 0 && pipeline > 1))) add(route, 2);
    if (request.route == route) add(route, pipeline > 1 ? 2 : 1);
  }
  if (!list.empty()) return list;
  // Refused, or obeyed, where the placement is made: a loop has two passes at least.
  const bool needs_two = request.passes == 0 && takes_passes(request.route);
  list.emplace_back(request.route, needs_two ? 2 : request.passes);
  return list;
}

/// The placements that the request leaves open for one pipeline length.
Placements placements(const PlanRequest& request, int pipeline, const CostModel& model,
                      Attempts& attempts) {
  const Uses& uses = model.uses();
  const Shares shares = shares_of(model);
  Placements list;
  int fewest = std::numeric_limits<int>::max();  // copies, so far
  const auto add = [&](const Placement& placement, int passes) {
    const int held = count_copies(uses, placement);
    // More chunks than layers are worth a thought only where they save copies.
    const bool spare = placement.size() > uses.layers;
    if (spare && request.passes == 0 && passes > 1 && held >= fewest) return;
    fewest = std::min(fewest, held);
    if (std::find(list.begin(), list.end(), placement) == list.end()) list.push_back(placement);
  };
  for (const auto& [route, passes] : routes(request, pipeline, uses.halves())) {
    const PlacementOptions options{pipeline, route, passes, false, request.cuts};
    attempts.make([&] {
      for (const Placement& placement : variants(options, uses, shares)) {
        add(placement, options.passes);
      }
    });
  }
  return list;
}

std::vector<ScheduleKind> schedules(const PlanRequest& request, const Placement& placement) {
  if (request.schedule != "auto") return {parse_schedule(request.schedule)};
  if (placement.size() == 1) return {ScheduleKind::one_forward_one_backward};
  std::vector<ScheduleKind> all;
  for (const ScheduleRule& rule : schedule_rules) all.push_back(rule.kind);
  return all;
}

/// Whose ranks may share a node, where that makes a difference.
std::vector<Neighbours> neighbours(const PlanRequest& request, const WorldLayout& layout) {
  if (request.neighbours == "stages") return {Neighbours::stages};
  if (request.neighbours == "replicas") return {Neighbours::replicas};
  const bool several = layout.pipeline > 1 && layout.replicas > 1;
  const int node = request.machine.ranks_per_node;
  if (!several || node == 1 || node >= request.world) return {Neighbours::stages};
  return {Neighbours::stages, Neighbours::replicas};
}

int count_chunks(const Program& program) {
  int chunks = 0;
  for (const RankProgram& list : program) {
    for (const Action& action : list) chunks = std::max(chunks, action.chunk + 1);
  }
  return chunks;
}

/// Why the placement cannot run the given order; empty if it can.
std::string why_not_given(const Choice& choice, const std::vector<ComponentGroup>& groups) {
  std::vector<std::string> complaints;
  try {
    const Placement& placement = choice.placement;
    const Program program = lower(choice.given, placement, groups);
    complaints = check(program, {placement, choice.microbatches, groups});
  } catch (const UserError& error) {
    complaints.push_back(error.what());
  }
  if (complaints.empty()) return "";
  return fmt::format(
      "distributed.schedule: the order from the file does not fit pipeline = {}, route {} x {}, {} "
      "microbatches: {}",
      choice.placement.pipeline, route_name(choice.placement), choice.placement.passes(),
      choice.microbatches, complaints.front());
}

/// Whether the choice can be made: any but an order from a file that does not fit. The reason
/// is best said of a placement that has the order's number of chunks.
bool possible(const Choice& choice, const PlacementCosts& costs, Attempts& attempts) {
  if (choice.schedule != ScheduleKind::given) return true;
  const std::string reason = why_not_given(choice, costs.groups);
  const bool says_most = count_chunks(choice.given) == choice.placement.size();
  if (!reason.empty() && (says_most || attempts.reason().empty())) attempts.refuse(reason);
  return reason.empty();
}

}  // namespace

std::vector<Candidate> candidates(const PlanRequest& open, const CostModel& model) {
  PlanRequest request = open;
  request.workload.micro_batch = model.workload().micro_batch;
  std::vector<Candidate> list;
  Attempts attempts;
  for (int pipeline : pipelines(request, model.uses())) {
    const int replicas = request.world / pipeline;
    for (const Placement& placement : placements(request, pipeline, model, attempts)) {
      Choice choice{.placement = placement,
                    .replicas = replicas,
                    .microbatches = *microbatches(request, pipeline),
                    .micro_batch = request.workload.micro_batch};
      for (const Neighbours order : neighbours(request, {pipeline, replicas})) {
        choice.neighbours = order;
        PlacementCosts costs = model.placement(placement, choice.layout(), false);
        for (ScheduleKind kind : schedules(request, placement)) {
          choice.schedule = kind;
          choice.given = kind == ScheduleKind::given ? request.given : Program{};
          if (!possible(choice, costs, attempts)) continue;
          costs.step.chunks = model.chunks(placement, splits_backward(choice));
          list.push_back(price(choice, model, costs));
        }
      }
    }
  }
  if (list.empty()) throw UserError(attempts.reason());
  return list;
}

std::vector<Candidate> candidates(const PlanRequest& request, const CostModels& models) {
  std::vector<Candidate> list;
  Attempts attempts;
  for (const auto& [micro_batch, model] : models.all()) {
    attempts.make([&, &model = model] {
      std::vector<Candidate> own = candidates(request, model);
      std::move(own.begin(), own.end(), std::back_inserter(list));
    });
  }
  if (list.empty()) throw UserError(attempts.reason());
  return list;
}

CostModels::CostModels(const PlanRequest& request) {
  Workload workload = request.workload;
  const bool open = workload.micro_batch == 0;
  const auto batch = static_cast<int>(request.global_batch);
  for (const int size : open ? divisors(batch) : std::vector<int>{0}) {
    if (open) workload.micro_batch = size;
    models_.try_emplace(workload.micro_batch, workload, request.machine);
  }
}

}  // namespace rondo
