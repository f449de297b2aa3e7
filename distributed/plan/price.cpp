#include "distributed/plan/price.h"

#include <algorithm>
#include <utility>

#include "distributed/plan/route.h"
#include "distributed/plan/schedule/lower.h"

namespace rondo {
namespace {

/// Computations of one simulation, at most: beyond, the steady state is extrapolated.
constexpr int most_computations = 24000;

/// Of the ranks' chunks, per pipeline rank.
struct Load {
  double busy_s = 0.0;        ///< all computations of one microbatch
  double deferrable_s = 0.0;  ///< of these, weight gradients that may wait
  double posting_s = 0.0;     ///< sends and receives of one microbatch
  double arrival_s = 0.0;     ///< when the first microbatch can be there
  double departure_s = 0.0;   ///< from its last gradient to the end of the pipeline
  double last_sums_s = 0.0;   ///< of what only the last computation makes final
  double sums_s = 0.0;        ///< all of them
  int64_t live_bytes = 0;     ///< of one microbatch
};

/// What two neighbouring chunks send each other.
const MessageCost& message_between(const StepCosts& costs, int a, int b) {
  return costs.messages[std::max(a, b)];
}

/// A message between the ranks of two neighbouring chunks.
double hop_s(const Placement& placement, const StepCosts& costs, int from, int to) {
  const auto a = static_cast<size_t>(placement.rank_of(from));
  const auto b = static_cast<size_t>(placement.rank_of(to));
  if (a == b) return 0.0;
  const LinkCost& link = costs.links[a * static_cast<size_t>(placement.pipeline) + b];
  const auto bytes = static_cast<double>(message_between(costs, from, to).bytes);
  return link.latency_s + link.transfer_s(bytes);
}

std::vector<Load> loads(const Placement& placement, const PlacementCosts& costs, bool split) {
  std::vector<Load> list(static_cast<size_t>(placement.pipeline));
  double arrival = 0.0;
  double departure = 0.0;
  for (int k = 0; k < placement.size(); ++k) {
    const ChunkCost& cost = costs.step.chunks[k];
    Load& load = list[placement.rank_of(k)];
    // Weights come back before a chunk computes; a message may be there before them.
    arrival = std::max(arrival, costs.step.chunk_ready_s[k]);
    if (load.busy_s == 0.0) {
      load.arrival_s = arrival;
      load.departure_s = departure;
    }
    load.busy_s += seconds(cost);
    load.deferrable_s += split ? cost.backward_weight_s : 0.0;
    load.live_bytes += cost.live_bytes;
    if (k + 1 == placement.size()) break;
    if (placement.rank_of(k + 1) != placement.rank_of(k)) {
      // An activation up, a gradient down.
      const double posting = 2.0 * message_between(costs.step, k, k + 1).posting_s;
      load.posting_s += posting;
      list[placement.rank_of(k + 1)].posting_s += posting;
    }
    arrival += cost.forward_s + hop_s(placement, costs.step, k, k + 1);
    departure += cost.backward_input_s + (split ? 0.0 : cost.backward_weight_s) +
                 hop_s(placement, costs.step, k + 1, k);
  }
  std::vector<int> first(list.size());  // chunk of each rank
  for (int k = placement.size(); k-- > 0;) first[placement.rank_of(k)] = k;
  for (size_t g = 0; g < costs.groups.size(); ++g) {
    if (!costs.groups[g].summed(placement)) continue;
    const std::vector<int>& chunks = costs.groups[g].chunks;
    for (int rank : costs.groups[g].pipeline_ranks) {
      Load& load = list[rank];
      const double sum = costs.step.reduces[g].seconds;
      const bool last = std::binary_search(chunks.begin(), chunks.end(), first[rank]);
      load.sums_s += sum;
      if (last && !split) load.last_sums_s = std::max(load.last_sums_s, sum);
    }
  }
  return list;
}

/// No order of the computations ends earlier: a rank cannot begin before the first microbatch has
/// come to it, and what it does last has to travel on to the first chunk, or be summed. Receives
/// may be posted while it waits, so they count from the start of the step.
double pipeline_bound(const std::vector<Load>& loads, int microbatches, bool overlap) {
  double bound = 0.0;
  for (const Load& load : loads) {
    const double end = load.arrival_s + microbatches * load.busy_s;
    const double last_gradient = end - microbatches * load.deferrable_s + load.departure_s;
    const double done = std::max(end, microbatches * (load.busy_s + load.posting_s));
    const double summed = done + (overlap ? load.last_sums_s : load.sums_s);
    bound = std::max({bound, last_gradient, summed});
  }
  return bound;
}

SentBytes step_bytes(const Choice& choice, const PlacementCosts& costs) {
  const Placement& placement = choice.placement;
  SentBytes bytes;
  for (int k = 1; k < placement.size(); ++k) {
    const bool sent = placement.rank_of(k - 1) != placement.rank_of(k);
    bytes.activation += sent ? 2 * costs.step.messages[k].bytes : 0;
  }
  bytes.activation *= int64_t{1} * choice.microbatches * choice.replicas;
  for (const GroupBytes& group : costs.group_bytes) {
    bytes.reduce += group.reduce;
    bytes.gather += group.gather;
  }
  return bytes;
}

/// Of a simulation of some of the microbatches.
struct Sample {
  double step_s = 0.0;
  std::vector<int64_t> live_bytes;
};

Sample sample(Choice choice, const PlacementCosts& costs, int microbatches) {
  const Placement& placement = choice.placement;
  choice.microbatches = microbatches;
  const Program program =
      lower(generate(schedule_options(choice, costs), placement), placement, costs.groups);
  Simulation simulation = simulate(program, placement, costs.groups, costs.step);
  return {simulation.step_s, std::move(simulation.peak_live_bytes)};
}

void set_memory(const CostModel& model, const PlacementCosts& costs,
                const std::vector<int64_t>& live, Candidate& candidate) {
  const int64_t limit = model.machine().memory_bytes;
  candidate.memory_bytes = costs.state_bytes;
  for (size_t rank = 0; rank < live.size(); ++rank) {
    candidate.memory_bytes[rank] += live[rank] + model.workspace_bytes();
  }
  candidate.fits = limit == 0 || candidate.most_memory() <= limit;
}

void set_time(double pipeline_s, const PlacementCosts& costs, Candidate& candidate) {
  double busy_s = 0.0;
  for (const ChunkCost& chunk : costs.step.chunks) {
    busy_s += candidate.choice.microbatches * seconds(chunk);
  }
  candidate.bubble = 1.0 - busy_s / (candidate.choice.placement.pipeline * pipeline_s);
  candidate.step_s = pipeline_s + costs.update_s;
}

}  // namespace

int64_t Candidate::most_memory() const {
  return *std::max_element(memory_bytes.begin(), memory_bytes.end());
}

bool splits_backward(const Choice& choice) {
  if (choice.schedule != ScheduleKind::given) return rule_of(choice.schedule).split;
  return std::any_of(choice.given.begin(), choice.given.end(), [](const RankProgram& list) {
    return std::any_of(list.begin(), list.end(),
                       [](const Action& action) { return action.op == Op::backward_weight; });
  });
}

ScheduleOptions schedule_options(const Choice& choice, const PlacementCosts& costs) {
  return {choice.schedule, choice.microbatches, costs.step.chunks, choice.given};
}

Candidate price(const Choice& choice, const CostModel& model, const PlacementCosts& costs) {
  const Placement& placement = choice.placement;
  const std::vector<Load> ranks = loads(placement, costs, splits_backward(choice));
  Candidate candidate;
  candidate.choice = choice;
  candidate.route = route_name(placement);
  candidate.copies = count_copies(model.uses(), placement);
  candidate.bytes = step_bytes(choice, costs);
  candidate.bound_s =
      pipeline_bound(ranks, choice.microbatches, model.machine().reduces_overlap) + costs.update_s;
  candidate.step_s = candidate.bound_s;
  const int held = rule_of(choice.schedule).one_round ? choice.microbatches : 1;  // at least
  std::vector<int64_t> live;
  for (const Load& load : ranks) live.push_back(held * load.live_bytes);
  set_memory(model, costs, live, candidate);
  return candidate;
}

void set_simulated(double pipeline_s, const std::vector<int64_t>& live_bytes,
                   const CostModel& model, const PlacementCosts& costs, Candidate& candidate) {
  set_time(pipeline_s, costs, candidate);
  candidate.simulated = true;
  set_memory(model, costs, live_bytes, candidate);
}

void simulate_candidate(const CostModel& model, Candidate& candidate) {
  const Choice& choice = candidate.choice;
  const Placement& placement = choice.placement;
  const PlacementCosts costs = model.placement(placement, choice.layout(), splits_backward(choice));
  // Whole rounds of the pipeline, at least two.
  const int round = placement.pipeline;
  const int rounds = std::max(2, most_computations / (3 * placement.size() * round));
  const int m = choice.microbatches;
  const int most = choice.schedule == ScheduleKind::given ? m : rounds * round;
  Sample part = sample(choice, costs, std::min(m, most));
  if (m > most) {
    const int fewer = (rounds + 1) / 2 * round;
    const double steady_s = (part.step_s - sample(choice, costs, fewer).step_s) / (most - fewer);
    part.step_s += steady_s * (m - most);
    if (rule_of(choice.schedule).one_round) {
      for (int64_t& bytes : part.live_bytes) bytes = bytes / most * m;
    }
  }
  set_simulated(part.step_s, part.live_bytes, model, costs, candidate);
}

}  // namespace rondo
