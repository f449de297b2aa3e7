#include "distributed/plan/schedule/schedule.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/user_error.h"
#include "distributed/plan/route.h"
#include "distributed/plan/schedule/list_scheduler.h"

namespace rondo {
namespace {

/// Whether a microbatch meets one rank in two chunks that follow each other.
bool turns(const Placement& placement) {
  for (int k = 0; k + 1 < placement.size(); ++k) {
    if (placement.rank_of(k) == placement.rank_of(k + 1)) return true;
  }
  return false;
}

/// Microbatches go through a rank's chunks in rounds of nearly equal size. Where the route comes
/// back to a rank only after all others, a round keeps all ranks busy until it returns; where it
/// turns, each microbatch is a round of its own.
int rounds(const ScheduleOptions& options, const Placement& placement) {
  if (rule_of(options.kind).one_round) return 1;
  if (turns(placement)) return options.microbatches;
  return std::max(1, options.microbatches / placement.pipeline);
}

/// Whether a rank waits for its most preferred action; else it takes what is ready, as it must
/// where chunks are left out and no preference is sure to come true.
bool runs_in_order(ScheduleKind kind, const Placement& placement) {
  const ScheduleRule& rule = rule_of(kind);
  return passes_are_whole(placement) && !rule.split && (rule.one_round || !turns(placement));
}

/// Most activations where every pass goes over all ranks.
std::vector<int> bounds_on_route(const ScheduleOptions& options, const Placement& placement) {
  const ScheduleRule& rule = rule_of(options.kind);
  const int all = options.microbatches * placement.passes();
  const int fewest = rounds(options, placement);
  const int round =
      turns(placement) ? placement.pipeline : (options.microbatches + fewest - 1) / fewest;
  const int window = (placement.passes() - 1) * round + placement.pipeline;
  std::vector<int> bounds;
  for (int rank = 0; rank < placement.pipeline; ++rank) {
    const std::vector<int> mine = placement.chunks_of(rank);
    const int hops = placement.size() - 1 - mine.back();
    bounds.push_back(std::min(all, window - mine.front() + rule.room_per_hop * hops));
  }
  const int most = *std::max_element(bounds.begin(), bounds.end());
  if (rule.split || turns(placement)) std::fill(bounds.begin(), bounds.end(), most);
  if (rule.one_round) std::fill(bounds.begin(), bounds.end(), all);
  return bounds;
}

/// Most activations where chunks are left out: a full pipeline of whole microbatches.
std::vector<int> bounds_without_route(const ScheduleOptions& options, const Placement& placement) {
  std::vector<int> bounds;
  for (int rank = 0; rank < placement.pipeline; ++rank) {
    const auto mine = static_cast<int>(placement.chunks_of(rank).size());
    bounds.push_back(std::min(options.microbatches * mine, placement.size()));
  }
  return bounds;
}

}  // namespace

ScheduleKind parse_schedule(const std::string& name) {
  std::string known;
  for (const ScheduleRule& rule : schedule_rules) {
    if (rule.name == name) return rule.kind;
    known += fmt::format("{}, ", rule.name);
  }
  if (name == given_rule.name) return given_rule.kind;
  throw UserError(
      fmt::format("distributed.schedule = {}: write one of {}{}", name, known, given_rule.name));
}

std::vector<int> live_bounds(const ScheduleOptions& options, const Placement& placement) {
  if (options.kind == ScheduleKind::given) return {};
  return passes_are_whole(placement) ? bounds_on_route(options, placement)
                                     : bounds_without_route(options, placement);
}

namespace {

/// Without the way back of chunks that are only taken forward.
Program trained_part(Program program, const Placement& placement) {
  for (RankProgram& list : program) {
    std::erase_if(list, [&](const Action& action) {
      return action.op != Op::forward && !placement.chunk(action.chunk).trained;
    });
  }
  return program;
}

}  // namespace

Program generate(const ScheduleOptions& options, const Placement& placement) {
  if (options.microbatches < 1) {
    throw UserError(
        fmt::format("a step needs at least one microbatch, not {}; raise "
                    "train.global_batch or lower train.micro_batch",
                    options.microbatches));
  }
  if (options.kind == ScheduleKind::given) return options.given;
  SchedulerRules rules{.microbatches = options.microbatches,
                       .rounds = rounds(options, placement),
                       .split = rule_of(options.kind).split,
                       .in_order = runs_in_order(options.kind, placement),
                       .alternate = true,
                       .chunks = options.chunks,
                       .live_bounds = live_bounds(options, placement)};
  ListSchedule alternating = list_schedule(rules, placement);
  if (rules.in_order) return trained_part(std::move(alternating.program), placement);
  // Neither preference is the better one on every route.
  rules.alternate = false;
  ListSchedule backward_first = list_schedule(rules, placement);
  const bool first = alternating.end_s <= backward_first.end_s;
  return trained_part(std::move((first ? alternating : backward_first).program), placement);
}

}  // namespace rondo
