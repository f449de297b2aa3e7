#include "distributed/plan/schedule/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

#include "distributed/plan/schedule/schedule_text.h"

namespace rondo {
namespace {

using Complaints = std::vector<std::string>;

/// The backward actions of one (chunk, microbatch): whole, or in halves.
struct Backward {
  Action input;
  Action weight;
};

class Checker {
 public:
  Checker(const Program& program, const StepSpec& step)
      : program_(program),
        step_(step),
        placement_(step.placement),
        cells_{step.placement.size(), step.microbatches},
        entries_(static_cast<size_t>(Op::reduce) * cells_.count() + step.groups.size()) {}

  Complaints run() {
    if (static_cast<int>(program_.size()) != placement_.pipeline) {
      complain("{} lists for {} pipeline ranks", program_.size(), placement_.pipeline);
      return complaints_;
    }
    for (int rank = 0; rank < placement_.pipeline; ++rank) {
      index(rank);
      check_computations(rank);
      check_reduces(rank);
      check_strangers(rank);
      check_live(rank);
      forget(rank);
    }
    if (complaints_.empty()) check_rendezvous();
    return complaints_;
  }

 private:
  template <typename... Arguments>
  void complain(fmt::format_string<Arguments...> text, Arguments&&... arguments) {
    complaints_.push_back(fmt::format(text, std::forward<Arguments>(arguments)...));
  }

  const RankProgram& list(int rank) const { return program_[rank]; }

  /// Numbers every action that may be in the program: each operation on each cell, and reduces.
  std::optional<size_t> number(const Action& action) const {
    const auto op = static_cast<size_t>(action.op);
    const size_t reduces = static_cast<size_t>(Op::reduce) * cells_.count();
    if (action.op != Op::reduce) {
      if (!cells_.has(action)) return std::nullopt;
      return op * cells_.count() + cells_.at(action.chunk, action.microbatch);
    }
    const bool known = action.group >= 0 && action.group < static_cast<int>(step_.groups.size()) &&
                       action == reduce_action(action.group);
    if (!known) return std::nullopt;
    return reduces + static_cast<size_t>(action.group);
  }

  /// Positions of the rank's actions; complains of those that stand there twice.
  void index(int rank) {
    strangers_.clear();
    for (size_t i = 0; i < list(rank).size(); ++i) {
      const Action& action = list(rank)[i];
      const std::optional<size_t> n = number(action);
      if (!n) {
        strangers_.push_back(action);
      } else if (entries_[*n].at != absent) {
        complain("rank {}: {} stands there twice", rank, to_text(action));
      } else {
        entries_[*n].at = static_cast<uint32_t>(i);
      }
    }
  }

  /// Makes room for the next rank.
  void forget(int rank) {
    for (const Action& action : list(rank)) {
      if (const auto n = number(action)) entries_[*n] = {};
    }
    for (const size_t n : missing_) entries_[n] = {};
    missing_.clear();
  }

  uint32_t position(const Action& action) const { return entries_[number(action).value()].at; }
  bool has(const Action& action) const { return position(action) != absent; }

  /// The rank runs `action`, and after `before`.
  void require(int rank, const Action& action, const Action& before) {
    require(rank, action);
    if (!has(action) || !has(before)) return;  // a missing one is complained of where it is due
    if (position(action) > position(before)) return;
    complain("rank {}: {} stands before {}", rank, to_text(action), to_text(before));
  }

  void require(int rank, const Action& action) {
    const size_t n = number(action).value();
    if (std::exchange(entries_[n].due, true) || has(action)) return;
    missing_.push_back(n);
    complain("rank {}: {} is missing", rank, to_text(action));
  }

  Backward backward_of(int chunk, int i) const {
    const Action whole{Op::backward, chunk, i};
    if (has(whole)) return {whole, whole};
    return {{Op::backward_input, chunk, i}, {Op::backward_weight, chunk, i}};
  }

  /// A neighbouring chunk: which rank it is on, or none.
  enum class Neighbour { none, here, elsewhere };
  Neighbour neighbour(int rank, int chunk) const {
    if (chunk < 0 || chunk >= placement_.size()) return Neighbour::none;
    return placement_.rank_of(chunk) == rank ? Neighbour::here : Neighbour::elsewhere;
  }

  void check_computations(int rank) {
    for (int k : placement_.chunks_of(rank)) {
      for (int i = 0; i < step_.microbatches; ++i) check_computation(rank, k, i);
    }
  }

  void check_computation(int rank, int k, int i) {
    const Action forward{Op::forward, k, i};
    const auto [input, weight] = backward_of(k, i);
    const bool trained = placement_.chunk(k).trained;
    require(rank, forward);
    if (trained) require(rank, input, forward);
    if (trained && !(weight == input)) require(rank, weight, input);

    const Neighbour before = neighbour(rank, k - 1);
    if (before == Neighbour::here) {
      require(rank, forward, {Op::forward, k - 1, i});
    } else if (before == Neighbour::elsewhere) {
      const Action receive{Op::receive_activation, k, i};
      require(rank, receive);
      require(rank, forward, receive);
      if (placement_.gives_gradient(k)) require(rank, {Op::send_gradient, k, i}, input);
    }
    const Neighbour behind = neighbour(rank, k + 1);
    if (behind == Neighbour::elsewhere) require(rank, {Op::send_activation, k, i}, forward);
    if (!trained) return;
    if (behind == Neighbour::here) {
      require(rank, input, backward_of(k + 1, i).input);
    } else if (behind == Neighbour::elsewhere) {
      const Action receive{Op::receive_gradient, k, i};
      require(rank, receive);
      require(rank, input, receive);
    }
  }

  void check_reduces(int rank) {
    for (size_t g = 0; g < step_.groups.size(); ++g) {
      const ComponentGroup& group = step_.groups[g];
      const std::vector<int>& ranks = group.pipeline_ranks;
      const bool member = std::find(ranks.begin(), ranks.end(), rank) != ranks.end();
      if (!member || !group.summed(placement_)) continue;
      const Action reduce = reduce_action(static_cast<int>(g));
      require(rank, reduce);
      for (int k : group.chunks) {
        if (placement_.rank_of(k) != rank || !placement_.chunk(k).trained) continue;
        for (int i = 0; i < step_.microbatches; ++i)
          require(rank, reduce, backward_of(k, i).weight);
      }
    }
  }

  /// Actions that nothing requires here.
  void check_strangers(int rank) {
    for (const Action& action : list(rank)) {
      const std::optional<size_t> n = number(action);
      if (n && !entries_[*n].due) strangers_.push_back(action);
    }
    std::sort(strangers_.begin(), strangers_.end());
    strangers_.erase(std::unique(strangers_.begin(), strangers_.end()), strangers_.end());
    for (const Action& action : strangers_) {
      complain("rank {}: {} has no place there", rank, to_text(action));
    }
  }

  void check_live(int rank) {
    if (step_.live_bounds.empty()) return;
    const int bound = step_.live_bounds[rank];
    int live = 0;
    for (const Action& action : list(rank)) {
      const bool kept =
          action.op == Op::forward && cells_.has(action) && placement_.chunk(action.chunk).trained;
      if (kept && ++live > bound) {
        complain("rank {}: {} is activation {} of {} that may live", rank, to_text(action), live,
                 bound);
        return;
      }
      if (gives_weight_gradient(action.op)) --live;
    }
  }

  /// Runs all lists with calls that block until all who take part make the same call. Whoever comes
  /// last to a call lets all others go on.
  void check_rendezvous() {
    std::vector<size_t> next(program_.size(), 0);
    std::vector<int> able(program_.size());  // ranks that may be able to go on
    std::iota(able.begin(), able.end(), 0);
    while (!able.empty()) {
      const int rank = able.back();
      able.pop_back();
      while (next[rank] < list(rank).size() && meet(rank, next, able)) {
      }
    }
    for (int rank = 0; rank < placement_.pipeline; ++rank) {
      const size_t at = next[rank];
      if (at == list(rank).size()) continue;
      complain("rank {}: waits for ever at {}", rank, to_text(list(rank)[at]));
    }
  }

  /// Whether a rank stands before `action`.
  bool stands_at(int rank, const Action& action, const std::vector<size_t>& next) const {
    const size_t at = next[rank];
    return at < list(rank).size() && list(rank)[at] == action;
  }

  /// Runs the rank's next action, and that of all who take part in it, if all are there; they join
  /// those that may be able to go on.
  bool meet(int rank, std::vector<size_t>& next, std::vector<int>& able) const {
    const Action& action = list(rank)[next[rank]];
    if (action.op == Op::reduce) {
      const auto& ranks = step_.groups[action.group].pipeline_ranks;
      for (int other : ranks) {
        if (!stands_at(other, action, next)) return false;
      }
      for (int other : ranks) {
        ++next[other];
        if (other != rank) able.push_back(other);
      }
      return true;
    }
    if (!is_compute(action.op)) {
      const Action theirs = counterpart(action);
      const int other = placement_.rank_of(theirs.chunk);
      if (!stands_at(other, theirs, next)) return false;
      ++next[other];
      able.push_back(other);
    }
    ++next[rank];
    return true;
  }

  static constexpr uint32_t absent = std::numeric_limits<uint32_t>::max();

  /// Of an action in the list that is checked.
  struct Entry {
    uint32_t at = absent;  ///< its position
    bool due = false;      ///< whether that rank has to run it
  };

  const Program& program_;
  const StepSpec& step_;
  const Placement& placement_;
  Complaints complaints_;
  Cells cells_;
  std::vector<Entry> entries_;     ///< by number
  std::vector<size_t> missing_;    ///< numbers of what is due and not there
  std::vector<Action> strangers_;  ///< of the rank that is checked
};

}  // namespace

std::vector<std::string> check(const Program& program, const StepSpec& step) {
  return Checker(program, step).run();
}

}  // namespace rondo
