#include "distributed/plan/schedule/list_scheduler.h"

#include <algorithm>
#include <compare>
#include <cstdint>
#include <limits>
#include <set>
#include <stdexcept>
#include <utility>

namespace rondo {
namespace {

constexpr double never = std::numeric_limits<double>::infinity();

/// The finished computations of one kind of one chunk, microbatches in order.
struct Track {
  std::vector<double> ends;
  int done() const { return static_cast<int>(ends.size()); }
  double end(int microbatch) const { return microbatch < done() ? ends[microbatch] : never; }
};

struct ChunkState {
  Track forward;
  Track input;     ///< backward, or its first half
  int weight = 0;  ///< how many microbatches' backwards, or second halves, are done
};

/// What a rank runs first, of what it may run.
enum class Turn : uint8_t { owed_forward, backward, forward, weight };

/// The least wins.
struct Preference {
  Turn turn;
  int round;
  int pass;  ///< of the rank's chunks: forwards in the order of the chunks, backwards in the other
  auto operator<=>(const Preference&) const = default;
};

/// An action that a rank may run next, not before `ready`.
struct Candidate {
  Action action;
  double ready;
  Preference preference;
};

/// What a rank would start next.
struct Start {
  Action action = {};
  double at = never;
};

/// A microbatch on one rank: how many of the rank's chunks have run it. A microbatch comes to them
/// in order, forward from the first chunk on and backward from the last.
struct Visit {
  int forward = 0;
  int input = 0;
  int weight = 0;
};

struct RankState {
  std::vector<int> chunks = {};                ///< ascending
  std::vector<Visit> visits = {};              ///< by microbatch
  std::set<std::pair<int, int>> waiting = {};  ///< weight gradients to make: microbatch, chunk
  int live = 0;                                ///< activations
  double free_at = 0.0;
  bool owes_forward = false;  ///< it ran a backward last and is to alternate
  Start next = {};
};

class ListScheduler {
 public:
  ListScheduler(const SchedulerRules& rules, const Placement& placement)
      : rules_(rules),
        costs_(rules.chunks),
        chunks_(placement.chunks.size()),
        ranks_(static_cast<size_t>(placement.pipeline)),
        program_(ranks_.size()) {
    costs_.resize(chunks_.size());
    for (int k = 0; k < placement.size(); ++k) {
      rank_of_.push_back(static_cast<size_t>(placement.rank_of(k)));
      ranks_[rank_of_.back()].chunks.push_back(k);
    }
    for (RankState& rank : ranks_) rank.visits.resize(static_cast<size_t>(rules.microbatches));
    for (size_t r = 0; r < ranks_.size(); ++r) ranks_[r].next = next_of(r);
  }

  ListSchedule run() {
    const size_t kinds = rules_.split ? 3 : 2;
    const size_t total = kinds * chunks_.size() * static_cast<size_t>(rules_.microbatches);
    for (size_t step = 0; step < total; ++step) start_earliest();
    double end = 0.0;
    for (const RankState& rank : ranks_) end = std::max(end, rank.free_at);
    return {std::move(program_), end};
  }

 private:
  ChunkState& state(int chunk) { return chunks_[chunk]; }
  int last_chunk() const { return static_cast<int>(chunks_.size()) - 1; }
  int chunks_of(const RankState& rank) const { return static_cast<int>(rank.chunks.size()); }
  static Visit& visit(RankState& rank, int i) { return rank.visits[i]; }

  void start_earliest() {
    const auto first = std::min_element(
        ranks_.begin(), ranks_.end(),
        [](const RankState& a, const RankState& b) { return a.next.at < b.next.at; });
    if (first->next.at == never) {
      throw std::logic_error("the schedule hangs: no rank may run anything");
    }
    const auto [action, at] = first->next;
    record(*first, action, at);
    program_[first - ranks_.begin()].push_back(action);
    look_again(action.chunk);
  }

  /// Only the chunk's own rank and those of its neighbours see another world now.
  void look_again(int chunk) {
    const size_t own = rank_of_[chunk];
    const size_t before = rank_of_[std::max(0, chunk - 1)];
    const size_t after = rank_of_[std::min(last_chunk(), chunk + 1)];
    ranks_[own].next = next_of(own);
    if (before != own) ranks_[before].next = next_of(before);
    if (after != own && after != before) ranks_[after].next = next_of(after);
  }

  /// What the rank would start next, and when.
  Start next_of(size_t index) {
    RankState& rank = ranks_[index];
    candidates_.clear();
    add_forwards(rank, rules_.live_bounds[index] - rank.live - 1);
    add_backwards(rank);
    add_weight(rank);
    double earliest = never;
    for (const Candidate& c : candidates_) earliest = std::min(earliest, c.ready);
    earliest = std::max(earliest, rank.free_at);
    const Candidate* best = nullptr;
    for (const Candidate& c : candidates_) {
      const bool eligible = rules_.in_order || c.ready <= earliest;
      if (eligible && (best == nullptr || c.preference < best->preference)) best = &c;
    }
    return best == nullptr ? Start{} : Start{best->action, std::max(earliest, best->ready)};
  }

  int round_of(int64_t microbatch) const {
    return static_cast<int>(microbatch * rules_.rounds / rules_.microbatches);
  }

  /// The next forward of every microbatch that may run one; the rank has `room` for so many
  /// activations after it. Chunks that are up to the same microbatch lie side by side, and only the
  /// first of them can have its input.
  void add_forwards(RankState& rank, int room) {
    if (room < 0) return;
    // What has begun lacks less than one activation for each chunk.
    const bool ample = room + 1 >= chunks_of(rank);
    if (!ample) admit(rank, room);
    const int oldest = state(rank.chunks.front()).weight;
    const Turn turn = rules_.in_order || rank.owes_forward ? Turn::owed_forward : Turn::forward;
    for (int end = chunks_of(rank); end > 0;) {
      const int i = state(rank.chunks[end - 1]).forward.done();
      if (i == rules_.microbatches) return;
      end = visit(rank, i).forward;
      if (!ample && !admitted_[i - oldest]) continue;
      const int k = rank.chunks[end];
      const double ready = k == 0 ? 0.0 : state(k - 1).forward.end(i);
      candidates_.push_back({{Op::forward, k, i}, ready, {turn, round_of(i), k}});
    }
  }

  /// The next backward of every microbatch that may run one. Of the chunks that are up to the same
  /// microbatch only the last can have its gradient.
  void add_backwards(RankState& rank) {
    const Op op = rules_.split ? Op::backward_input : Op::backward;
    for (int begin = 0; begin < chunks_of(rank);) {
      const int i = state(rank.chunks[begin]).input.done();
      if (i == rules_.microbatches) return;
      const Visit& at = visit(rank, i);
      const int end = chunks_of(rank) - at.input;
      const int ran = std::min(end, at.forward);
      if (ran > begin) {
        const int k = rank.chunks[ran - 1];
        const double given = k == last_chunk() ? 0.0 : state(k + 1).input.end(i);
        const double ready = std::max(given, state(k).forward.end(i));
        candidates_.push_back({{op, k, i}, ready, {Turn::backward, round_of(i), -k}});
      }
      begin = end;
    }
  }

  void add_weight(const RankState& rank) {
    if (rank.waiting.empty()) return;
    const auto [i, k] = *rank.waiting.begin();
    candidates_.push_back(
        {{Op::backward_weight, k, i}, state(k).input.end(i), {Turn::weight, i, 0}});
  }

  /// Which of the microbatches in flight, oldest first, and of one that is yet to begin, may run
  /// one more forward, with `room` left after it: those with which all in flight could still finish
  /// one after the other within the bound (the banker's algorithm).
  void admit(RankState& rank, int room) {
    const int chunks = chunks_of(rank);
    const int oldest = state(rank.chunks.front()).weight;
    const int next = state(rank.chunks.front()).forward.done();
    const auto missing = [&](int i) { return i < next ? chunks - visit(rank, i).forward : chunks; };
    const auto held = [&](int i) {
      return i < next ? visit(rank, i).forward - visit(rank, i).weight : 0;
    };
    admitted_.assign(static_cast<size_t>(next - oldest) + 1, false);
    int free = room;  // when all older ones have finished
    bool older = true;
    for (int i = oldest; i <= next; ++i) {
      admitted_[i - oldest] = older && missing(i) - 1 <= free;
      older = older && missing(i) <= free;
      free += held(i);
    }
    bool younger = true;
    for (int i = next; i >= oldest; --i) {
      free -= held(i);
      if (!younger) admitted_[i - oldest] = false;
      // Beside an older one that ran one more forward, and gives it back.
      younger = younger && (i == next || missing(i) <= free + 1);
    }
  }

  void record(RankState& rank, const Action& action, double start) {
    const auto& [op, k, i, group] = action;
    ChunkState& at = state(k);
    const ChunkCost& cost = costs_[k];
    double end = start;
    if (op == Op::forward) {
      end += cost.forward_s;
      at.forward.ends.push_back(end);
      ++visit(rank, i).forward;
      ++rank.live;
    }
    if (gives_input_gradient(op)) {
      end += cost.backward_input_s + (rules_.split ? 0.0 : cost.backward_weight_s);
      at.input.ends.push_back(end);
      ++visit(rank, i).input;
      if (rules_.split && at.weight == i) rank.waiting.insert({i, k});
    }
    if (gives_weight_gradient(op)) {
      end += rules_.split ? cost.backward_weight_s : 0.0;
      ++at.weight;
      ++visit(rank, i).weight;
      --rank.live;
      rank.waiting.erase({i, k});
      if (at.weight < at.input.done()) rank.waiting.insert({i + 1, k});
    }
    rank.free_at = end;
    if (op != Op::backward_weight) rank.owes_forward = rules_.alternate && op != Op::forward;
  }

  const SchedulerRules& rules_;
  std::vector<ChunkCost> costs_;
  std::vector<ChunkState> chunks_;
  std::vector<size_t> rank_of_;  ///< by chunk
  std::vector<RankState> ranks_;
  Program program_;
  std::vector<Candidate> candidates_;  ///< of the rank that is looked at
  std::vector<bool> admitted_;         ///< see `admit`
};

}  // namespace

ListSchedule list_schedule(const SchedulerRules& rules, const Placement& placement) {
  return ListScheduler(rules, placement).run();
}

}  // namespace rondo
