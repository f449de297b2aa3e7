#include "distributed/plan/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "distributed/plan/schedule_text.h"

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
      : program_(program), step_(step), placement_(step.placement) {}

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
    }
    if (complaints_.empty()) check_rendezvous();
    return complaints_;
  }

 private:
  template <typename... Arguments>
  void complain(fmt::format_string<Arguments...> text, Arguments&&... arguments) {
    complaints_.push_back(fmt::format(text, std::forward<Arguments>(arguments)...));
  }

  const RankProgram& list(int rank) const { return program_[static_cast<size_t>(rank)]; }

  /// Positions of the rank's actions; complains of those that stand there twice.
  void index(int rank) {
    at_.clear();
    due_.clear();
    for (size_t i = 0; i < list(rank).size(); ++i) {
      const bool first = at_.emplace(list(rank)[i], i).second;
      if (!first) complain("rank {}: {} stands there twice", rank, to_text(list(rank)[i]));
    }
  }

  bool has(const Action& action) const { return at_.count(action) > 0; }

  /// The rank runs `action`, and behind `before`.
  void require(int rank, const Action& action, const Action& before) {
    require(rank, action);
    if (!has(action) || !has(before)) return;  // a missing one is complained of where it is due
    if (at_.at(action) > at_.at(before)) return;
    complain("rank {}: {} stands before {}", rank, to_text(action), to_text(before));
  }

  void require(int rank, const Action& action) {
    const bool first = due_.insert(action).second;
    if (first && !has(action)) complain("rank {}: {} is missing", rank, to_text(action));
  }

  Backward backward_of(int chunk, int i) const {
    const Action whole{Op::backward, chunk, i};
    if (has(whole)) return {whole, whole};
    return {{Op::backward_input, chunk, i}, {Op::backward_weight, chunk, i}};
  }

  /// A neighbouring chunk: which rank it is on, or none.
  enum class Neighbour { none, here, elsewhere };
  Neighbour neighbour(int rank, int chunk) const {
    if (chunk < 0 || chunk >= placement_.chunks()) return Neighbour::none;
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
    const bool trained = k >= placement_.trained_from;
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
      if (k > placement_.trained_from) require(rank, {Op::send_gradient, k, i}, input);
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
    for (size_t g = 0; g < step_.reductions.size(); ++g) {
      const auto& [components, chunks, ranks] = step_.reductions[g];
      if (std::find(ranks.begin(), ranks.end(), rank) == ranks.end()) continue;
      const Action reduce{Op::reduce, static_cast<int>(g), 0};
      require(rank, reduce);
      for (int k : chunks) {
        if (placement_.rank_of(k) != rank) continue;
        for (int i = 0; i < step_.microbatches; ++i)
          require(rank, reduce, backward_of(k, i).weight);
      }
    }
  }

  /// Actions that nothing requires here.
  void check_strangers(int rank) {
    for (const auto& [action, position] : at_) {
      if (due_.count(action) == 0)
        complain("rank {}: {} has no place there", rank, to_text(action));
    }
  }

  void check_live(int rank) {
    if (step_.live_bounds.empty()) return;
    const int bound = step_.live_bounds[static_cast<size_t>(rank)];
    int live = 0;
    for (const Action& action : list(rank)) {
      const bool kept = action.op == Op::forward && action.chunk >= placement_.trained_from;
      if (kept && ++live > bound) {
        complain("rank {}: {} is activation {} of {} that may live", rank, to_text(action), live,
                 bound);
        return;
      }
      if (gives_weight_gradient(action.op)) --live;
    }
  }

  /// Runs all lists with calls that block until all who take part make the same call.
  void check_rendezvous() {
    std::vector<size_t> next(program_.size(), 0);
    for (bool moved = true; moved;) {
      moved = false;
      for (int rank = 0; rank < placement_.pipeline; ++rank) {
        while (next[static_cast<size_t>(rank)] < list(rank).size() && meet(rank, next))
          moved = true;
      }
    }
    for (int rank = 0; rank < placement_.pipeline; ++rank) {
      const size_t at = next[static_cast<size_t>(rank)];
      if (at == list(rank).size()) continue;
      complain("rank {}: waits for ever at {}", rank, to_text(list(rank)[at]));
    }
  }

  /// Runs the rank's next action, and that of all who take part in it, if all are there.
  bool meet(int rank, std::vector<size_t>& next) const {
    const Action& action = list(rank)[next[static_cast<size_t>(rank)]];
    std::vector<int> ranks = {rank};
    Action theirs = action;
    if (action.op == Op::reduce) {
      ranks = step_.reductions[static_cast<size_t>(action.chunk)].ranks;
    } else if (is_send(action.op)) {
      const bool activation = action.op == Op::send_activation;
      theirs = {activation ? Op::receive_activation : Op::receive_gradient,
                action.chunk + (activation ? 1 : -1), action.microbatch};
      ranks.push_back(placement_.rank_of(theirs.chunk));
    } else if (is_receive(action.op)) {
      return false;  // the sender moves both
    }
    for (int other : ranks) {
      const size_t at = next[static_cast<size_t>(other)];
      if (at == list(other).size()) return false;
      if (!(list(other)[at] == (other == rank ? action : theirs))) return false;
    }
    for (int other : ranks) ++next[static_cast<size_t>(other)];
    return true;
  }

  const Program& program_;
  const StepSpec& step_;
  const Placement& placement_;
  Complaints complaints_;
  std::map<Action, size_t> at_;  ///< positions in the list that is checked
  std::set<Action> due_;         ///< what that rank has to run
};

}  // namespace

std::vector<std::string> check(const Program& program, const StepSpec& step) {
  return Checker(program, step).run();
}

}  // namespace rondo
