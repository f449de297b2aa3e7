#include "distributed/plan/schedule/lower.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "base/user_error.h"
#include "distributed/plan/schedule/schedule_text.h"

namespace rondo {
namespace {

/// When results are where they are needed; on the way to another rank they take 1.
class Clock {
 public:
  Clock(const Program& program, const Placement& placement)
      : placement_(placement),
        cells_{placement.size(), microbatches_of(program)},
        forward_ends_(cells_.count(), not_yet),
        input_ends_(cells_.count(), not_yet) {}

  /// When the inputs of `action` are there; negative if they are not yet.
  double ready(const Action& action) const {
    const auto& [op, k, i, group] = action;
    if (op == Op::forward) return k == 0 ? 0.0 : at(forward_ends_, k - 1, i, k);
    if (op == Op::backward_weight) return at(input_ends_, k, i, k);
    const double own = at(forward_ends_, k, i, k);
    const bool last = k == placement_.size() - 1;
    const double given = last ? own : at(input_ends_, k + 1, i, k);
    return std::min(own, given) < 0.0 ? not_yet : std::max(own, given);
  }

  void record(const Action& action, double end) {
    if (action.op == Op::backward_weight) return;
    const bool forward = action.op == Op::forward;
    double& first =
        (forward ? forward_ends_ : input_ends_)[cells_.at(action.chunk, action.microbatch)];
    if (first == not_yet) first = end;
  }

 private:
  static constexpr double not_yet = -1.0;

  /// When the result of chunk `from` is on the rank of chunk `to`.
  double at(const std::vector<double>& ends, int from, int microbatch, int to) const {
    const double end = ends[cells_.at(from, microbatch)];
    const bool local = placement_.rank_of(from) == placement_.rank_of(to);
    return end == not_yet || local ? end : end + 1.0;
  }

  const Placement& placement_;
  Cells cells_;
  std::vector<double> forward_ends_;
  std::vector<double> input_ends_;
};

/// The send that carries the result of a computation to the rank of another chunk, if one does.
std::optional<Action> send_after(const Action& action, const Placement& placement) {
  const auto& [op, k, i, group] = action;
  const auto elsewhere = [&placement, home = placement.rank_of(action.chunk)](int chunk) {
    return chunk >= 0 && chunk < placement.size() && placement.rank_of(chunk) != home;
  };
  if (op == Op::forward && elsewhere(k + 1)) return Action{Op::send_activation, k, i};
  if (gives_input_gradient(op) && placement.gives_gradient(k) && elsewhere(k - 1)) {
    return Action{Op::send_gradient, k, i};
  }
  return std::nullopt;
}

/// The sum of a group, and the position in the order of computations after which it is final.
using FinalSum = std::pair<size_t, int>;

/// Those of the groups that are summed, in the order in which they become final.
std::vector<FinalSum> final_sums(const std::vector<Action>& order, const Placement& placement,
                                 const std::vector<ComponentGroup>& groups) {
  std::vector<size_t> last_use(placement.chunks.size(), 0);
  for (size_t at = 0; at < order.size(); ++at) {
    if (gives_weight_gradient(order[at].op)) last_use[order[at].chunk] = at;
  }
  std::vector<FinalSum> sums;
  for (size_t g = 0; g < groups.size(); ++g) {
    if (!groups[g].summed(placement)) continue;
    size_t last = 0;
    for (int k : groups[g].chunks) last = std::max(last, last_use[k]);
    sums.emplace_back(last, static_cast<int>(g));
  }
  std::sort(sums.begin(), sums.end());
  return sums;
}

void require_own_computations(const Program& program, const Placement& placement) {
  if (static_cast<int>(program.size()) != placement.pipeline) {
    throw UserError(fmt::format("the schedule has {} lines for {} pipeline ranks; write one a rank",
                                program.size(), placement.pipeline));
  }
  for (size_t r = 0; r < program.size(); ++r) {
    for (const Action& action : program[r]) {
      const bool known = action.chunk >= 0 && action.chunk < placement.size();
      const int home = known ? placement.rank_of(action.chunk) : -1;
      if (is_compute(action.op) && home == static_cast<int>(r)) continue;
      throw UserError(fmt::format(
          "the schedule has {} on rank {}; write computations of the rank's own chunks, {}",
          to_text(action), r, fmt::join(placement.chunks_of(static_cast<int>(r)), ", ")));
    }
  }
}

/// A program runs every chunk with every microbatch; one that names more than it runs would make
/// lists of its length.
void require_whole_microbatches(const Program& program, const Placement& placement) {
  size_t computations = 0;
  for (const RankProgram& list : program) computations += list.size();
  const Cells cells{placement.size(), microbatches_of(program)};
  if (cells.count() <= computations) return;
  throw UserError(
      fmt::format("the schedule names microbatch {}, but {} computations are too few to run {} "
                  "chunks with each "
                  "microbatch up to that one; number microbatches from 0",
                  cells.microbatches - 1, computations, cells.chunks));
}

}  // namespace

Program computations_of(Program program) {
  for (RankProgram& list : program) {
    std::erase_if(list, [](const Action& action) { return !is_compute(action.op); });
  }
  return program;
}

namespace {

/// The computations of `program` in one order that respects every rank's list and every dependency:
/// by starting time where a forward, each half of a backward and a message take 1. (That messages
/// take time lets the receives that follow this order be posted before the computation during which
/// they arrive.) Shorter than the program if its lists hang.
std::vector<Action> execution_order(const Program& program, const Placement& placement) {
  constexpr double never = std::numeric_limits<double>::infinity();
  Clock clock(program, placement);
  std::vector<size_t> next(program.size(), 0);
  std::vector<double> free_at(program.size(), 0.0);
  std::vector<double> start(program.size(), never);  // of each rank's next action
  const auto look = [&](int rank) {
    const auto r = static_cast<size_t>(rank);
    const bool done = next[r] == program[r].size();
    const double ready = done ? -1.0 : clock.ready(program[r][next[r]]);
    start[r] = ready < 0.0 ? never : std::max(ready, free_at[r]);
  };
  for (int rank = 0; rank < placement.pipeline; ++rank) look(rank);
  std::vector<Action> order;
  while (true) {
    const auto first = std::min_element(start.begin(), start.end());
    if (*first == never) return order;
    const auto r = static_cast<size_t>(first - start.begin());
    const Action& action = program[r][next[r]++];
    free_at[r] = *first + (action.op == Op::backward ? 2.0 : 1.0);
    clock.record(action, free_at[r]);
    order.push_back(action);
    // Only the chunk's own rank and those of its neighbours may have waited for this.
    const int last = placement.size() - 1;
    for (int k = std::max(0, action.chunk - 1); k <= std::min(last, action.chunk + 1); ++k) {
      look(placement.rank_of(k));
    }
  }
}

}  // namespace

Program lower(const Program& program, const Placement& placement,
              const std::vector<ComponentGroup>& groups) {
  require_own_computations(program, placement);
  require_whole_microbatches(program, placement);
  const std::vector<Action> order = execution_order(program, placement);
  const std::vector<FinalSum> sums = final_sums(order, placement, groups);
  auto next_sum = sums.begin();
  Program lowered(program.size());
  std::vector<size_t> done(program.size(), 0);
  const auto list = [&](int rank) -> RankProgram& { return lowered[rank]; };
  for (size_t at = 0; at < order.size(); ++at) {
    const Action& action = order[at];
    const int rank = placement.rank_of(action.chunk);
    ++done[rank];
    list(rank).push_back(action);
    if (const std::optional<Action> send = send_after(action, placement)) {
      const Action receive = counterpart(*send);
      list(rank).push_back(*send);
      list(placement.rank_of(receive.chunk)).push_back(receive);
    }
    for (; next_sum != sums.end() && next_sum->first == at; ++next_sum) {
      const int g = next_sum->second;
      for (int member : groups[g].pipeline_ranks) {
        list(member).push_back(reduce_action(g));
      }
    }
  }
  for (size_t r = 0; r < program.size(); ++r) {
    if (done[r] == program[r].size()) continue;
    throw UserError(fmt::format(
        "the schedule hangs: rank {} waits in front of {} for a result that no rank computes first",
        r, to_text(program[r][done[r]])));
  }
  return lowered;
}

}  // namespace rondo
