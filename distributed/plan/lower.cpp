#include "distributed/plan/lower.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <map>
#include <tuple>

#include "base/user_error.h"
#include "distributed/plan/schedule_text.h"

namespace rondo {
namespace {

/// (is it the forward?, chunk, microbatch): what other computations wait for.
using Result = std::tuple<bool, int, int>;

/// When results are where they are needed; on the way to another rank they take 1.
class Clock {
 public:
  explicit Clock(const Placement& placement) : placement_(placement) {}

  /// When the inputs of `action` are there; negative if they are not yet.
  double ready(const Action& action) const {
    const auto [op, chunk, microbatch] = action;
    if (op == Op::forward) return chunk == 0 ? 0.0 : at(chunk, {true, chunk - 1, microbatch});
    if (op == Op::backward_weight) return at(chunk, {false, chunk, microbatch});
    const double own = at(chunk, {true, chunk, microbatch});
    const bool last = chunk == placement_.chunks() - 1;
    const double given = last ? own : at(chunk, {false, chunk + 1, microbatch});
    return std::min(own, given) < 0.0 ? -1.0 : std::max(own, given);
  }

  void record(const Action& action, double end) {
    if (action.op == Op::backward_weight) return;
    ends_.emplace(Result{action.op == Op::forward, action.chunk, action.microbatch}, end);
  }

 private:
  double at(int chunk, const Result& result) const {
    const auto found = ends_.find(result);
    if (found == ends_.end()) return -1.0;
    const bool local = placement_.rank_of(std::get<1>(result)) == placement_.rank_of(chunk);
    return found->second + (local ? 0.0 : 1.0);
  }

  const Placement& placement_;
  std::map<Result, double> ends_;
};

/// Carries the result of a computation to the rank of another chunk.
struct Message {
  Action send;
  Action receive;
};

std::vector<Message> messages(const Action& action, const Placement& placement) {
  const auto [op, k, i] = action;
  const auto elsewhere = [&placement, home = placement.rank_of(action.chunk)](int chunk) {
    return chunk >= 0 && chunk < placement.chunks() && placement.rank_of(chunk) != home;
  };
  if (op == Op::forward && elsewhere(k + 1)) {
    return {{{Op::send_activation, k, i}, {Op::receive_activation, k + 1, i}}};
  }
  if (gives_input_gradient(op) && k > placement.trained_from && elsewhere(k - 1)) {
    return {{{Op::send_gradient, k, i}, {Op::receive_gradient, k - 1, i}}};
  }
  return {};
}

/// Position in `order` → the reductions that are final behind it.
std::map<size_t, std::vector<int>> final_behind(const std::vector<Action>& order,
                                                const std::vector<Reduction>& reductions) {
  std::map<int, size_t> last_use;
  for (size_t at = 0; at < order.size(); ++at) {
    if (gives_weight_gradient(order[at].op)) last_use[order[at].chunk] = at;
  }
  std::map<size_t, std::vector<int>> found;
  for (size_t g = 0; g < reductions.size(); ++g) {
    size_t last = 0;
    for (int chunk : reductions[g].chunks) last = std::max(last, last_use[chunk]);
    found[last].push_back(static_cast<int>(g));
  }
  return found;
}

void require_own_computations(const Program& program, const Placement& placement) {
  if (static_cast<int>(program.size()) != placement.pipeline) {
    throw UserError(fmt::format("the schedule has {} lines for {} pipeline ranks; write one a rank",
                                program.size(), placement.pipeline));
  }
  for (size_t r = 0; r < program.size(); ++r) {
    for (const Action& action : program[r]) {
      const bool known = action.chunk >= 0 && action.chunk < placement.chunks();
      const int home = known ? placement.rank_of(action.chunk) : -1;
      if (is_compute(action.op) && home == static_cast<int>(r)) continue;
      throw UserError(fmt::format(
          "the schedule has {} on rank {}; write computations of the rank's own chunks, {}",
          to_text(action), r, fmt::join(placement.chunks_of(static_cast<int>(r)), ", ")));
    }
  }
}

}  // namespace

std::vector<Reduction> reductions(const ModelParts& model, const Placement& placement,
                                  int replicas) {
  std::vector<Reduction> list;
  for (const BufferGroup& group : buffer_groups(model, placement, replicas)) {
    if (replicas > 1 || group.ranks.size() > 1) list.push_back(group);
  }
  return list;
}

Program computations_of(Program program) {
  for (RankProgram& list : program) {
    std::erase_if(list, [](const Action& action) { return !is_compute(action.op); });
  }
  return program;
}

std::vector<Action> execution_order(const Program& program, const Placement& placement) {
  constexpr double never = std::numeric_limits<double>::infinity();
  Clock clock(placement);
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
    const int last = placement.chunks() - 1;
    for (int k = std::max(0, action.chunk - 1); k <= std::min(last, action.chunk + 1); ++k) {
      look(placement.rank_of(k));
    }
  }
}

Program lower(const Program& program, const Placement& placement,
              const std::vector<Reduction>& reductions) {
  require_own_computations(program, placement);
  const std::vector<Action> order = execution_order(program, placement);
  std::map<size_t, std::vector<int>> reduces = final_behind(order, reductions);
  Program lowered(program.size());
  std::vector<size_t> done(program.size(), 0);
  const auto list = [&](int rank) -> RankProgram& { return lowered[static_cast<size_t>(rank)]; };
  for (size_t at = 0; at < order.size(); ++at) {
    const Action& action = order[at];
    const int rank = placement.rank_of(action.chunk);
    ++done[static_cast<size_t>(rank)];
    list(rank).push_back(action);
    for (const auto& [send, receive] : messages(action, placement)) {
      list(rank).push_back(send);
      list(placement.rank_of(receive.chunk)).push_back(receive);
    }
    for (int g : reduces[at]) {
      const std::vector<int> ranks = reductions[static_cast<size_t>(g)].ranks;
      for (int member : ranks) list(member).push_back({Op::reduce, g, 0});
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
