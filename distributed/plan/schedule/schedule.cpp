#include "distributed/plan/schedule/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "base/user_error.h"
#include "distributed/plan/route.h"
#include "distributed/plan/schedule/list_scheduler.h"

namespace rondo {
namespace {

/// What distinguishes the kinds.
struct Rule {
  std::string_view name;
  bool one_round;    ///< all microbatches pass a chunk before any passes the next
  int room_per_hop;  ///< more activations for each hop from the rank's last chunk to the end
  bool split;        ///< backward in two halves
};

constexpr std::array<Rule, 5> rules = {{
    {"gpipe", true, 0, false},
    {"1f1b", false, 0, false},
    {"interleaved", false, 1, false},
    {"zero_bubble", false, 0, true},
    {"given", false, 0, false},
}};

const Rule& rule_of(ScheduleKind kind) { return rules[static_cast<size_t>(kind)]; }

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
  const Rule& rule = rule_of(kind);
  return passes_are_whole(placement) && !rule.split && (rule.one_round || !turns(placement));
}

/// Most activations where every pass goes over all ranks.
std::vector<int> bounds_on_route(const ScheduleOptions& options, const Placement& placement) {
  const Rule& rule = rule_of(options.kind);
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
  for (size_t i = 0; i < rules.size(); ++i) {
    if (rules[i].name == name) return static_cast<ScheduleKind>(i);
    known += fmt::format("{}{}", i == 0 ? "" : ", ", rules[i].name);
  }
  throw UserError(fmt::format("distributed.schedule = {}: write one of {}", name, known));
}

std::string schedule_name(ScheduleKind kind) { return std::string(rule_of(kind).name); }

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
