#include "distributed/plan/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <stdexcept>
#include <string_view>

#include "base/user_error.h"

namespace rondo {
namespace {

constexpr double never = std::numeric_limits<double>::infinity();

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
  for (int k = 0; k + 1 < placement.chunks(); ++k) {
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
  return placement.ranks.empty() && !rule.split && (rule.one_round || !turns(placement));
}

/// The finished computations of one kind of one chunk, microbatches in order.
struct Track {
  std::vector<double> ends;
  int done() const { return static_cast<int>(ends.size()); }
  double end(int microbatch) const {
    return microbatch < done() ? ends[static_cast<size_t>(microbatch)] : never;
  }
};

struct ChunkState {
  Track forward;
  Track input;   ///< backward, or its first half
  Track weight;  ///< backward, or its second half
};

/// An action that a rank may run next, not before `ready`. The least preference wins: the kind of
/// action, the round, the pass.
struct Candidate {
  Action action;
  double ready;
  std::array<int, 3> preference;
};

/// How much of a microbatch is on one rank.
struct InFlight {
  int missing = 0;  ///< forwards still to run
  int held = 0;     ///< activations
};

/// What a rank would start next.
struct Start {
  Action action = {};
  double at = never;
};

class ListScheduler {
 public:
  /// `alternate`: where both are ready, forwards and backwards take turns; else backwards first.
  ListScheduler(const ScheduleOptions& options, const Placement& placement, bool alternate)
      : alternate_(alternate),
        rule_(rule_of(options.kind)),
        microbatches_(options.microbatches),
        rounds_(rounds(options, placement)),
        in_order_(runs_in_order(options.kind, placement)),
        placement_(placement),
        durations_(options.chunks),
        bounds_(live_bounds(options, placement)),
        chunks_(static_cast<size_t>(placement.chunks())),
        free_at_(static_cast<size_t>(placement.pipeline), 0.0),
        owes_forward_(static_cast<size_t>(placement.pipeline), false),
        program_(static_cast<size_t>(placement.pipeline)) {
    durations_.resize(chunks_.size());
    for (int rank = 0; rank < placement.pipeline; ++rank) {
      chunks_of_.push_back(placement.chunks_of(rank));
    }
    for (int rank = 0; rank < placement.pipeline; ++rank) next_.push_back(next_of(rank));
  }

  Program run() {
    const size_t kinds = rule_.split ? 3 : 2;
    const size_t total = kinds * chunks_.size() * static_cast<size_t>(microbatches_);
    for (size_t step = 0; step < total; ++step) start_earliest();
    return std::move(program_);
  }

  /// When the last action ends.
  double end() const { return *std::max_element(free_at_.begin(), free_at_.end()); }

 private:
  ChunkState& state(int chunk) { return chunks_[static_cast<size_t>(chunk)]; }
  const ChunkState& state(int chunk) const { return chunks_[static_cast<size_t>(chunk)]; }

  void start_earliest() {
    const auto first = std::min_element(next_.begin(), next_.end(),
                                        [](const Start& a, const Start& b) { return a.at < b.at; });
    if (first->at == never) throw std::logic_error("the schedule hangs: no rank may run anything");
    const auto [action, at] = *first;
    record(static_cast<int>(first - next_.begin()), action, at);
    // Only the chunk's own rank and those of its neighbours see another world now.
    const int last = placement_.chunks() - 1;
    for (int k = std::max(0, action.chunk - 1); k <= std::min(last, action.chunk + 1); ++k) {
      next_[static_cast<size_t>(placement_.rank_of(k))] = next_of(placement_.rank_of(k));
    }
  }

  /// What the rank would start next, and when.
  Start next_of(int rank) const {
    std::vector<Candidate> candidates;
    const auto& mine = chunks_of_[static_cast<size_t>(rank)];
    int room = bounds_[static_cast<size_t>(rank)] - 1;  // after one more forward
    for (int k : mine) room -= state(k).forward.done() - state(k).weight.done();
    // What has begun lacks less than one activation for each chunk.
    const bool ample = room + 1 >= static_cast<int>(mine.size());
    const std::vector<InFlight> flying =
        ample || room < 0 ? std::vector<InFlight>() : in_flight(rank);
    for (int k : mine) {
      const bool fits = ample || (room >= 0 && admits(rank, k, room, flying));
      if (fits) append_forward(rank, k, candidates);
      append_backward(k, candidates);
    }
    double earliest = never;
    for (const Candidate& c : candidates) earliest = std::min(earliest, c.ready);
    earliest = std::max(earliest, free_at_[static_cast<size_t>(rank)]);
    const Candidate* best = nullptr;
    for (const Candidate& c : candidates) {
      const bool eligible = in_order_ || c.ready <= earliest;
      if (eligible && (best == nullptr || c.preference < best->preference)) best = &c;
    }
    return best == nullptr ? Start{} : Start{best->action, std::max(earliest, best->ready)};
  }

  void append_forward(int rank, int chunk, std::vector<Candidate>& candidates) const {
    const int f = state(chunk).forward.done();
    if (f == microbatches_) return;
    const double ready = chunk == 0 ? 0.0 : state(chunk - 1).forward.end(f);
    const int turn = in_order_ || owes_forward_[static_cast<size_t>(rank)] ? 0 : 2;
    candidates.push_back({{Op::forward, chunk, f}, ready, {turn, round_of(f), chunk}});
  }

  void append_backward(int chunk, std::vector<Candidate>& candidates) const {
    const ChunkState& at = state(chunk);
    const int last = placement_.chunks() - 1;
    const int i = at.input.done();
    if (i < at.forward.done()) {
      const double given = chunk == last ? 0.0 : state(chunk + 1).input.end(i);
      const double ready = std::max(given, at.forward.end(i));
      const Op op = rule_.split ? Op::backward_input : Op::backward;
      candidates.push_back({{op, chunk, i}, ready, {1, round_of(i), -chunk}});
    }
    const int w = at.weight.done();
    if (w < i) candidates.push_back({{Op::backward_weight, chunk, w}, at.input.end(w), {3, w, 0}});
  }

  int round_of(int microbatch) const { return microbatch * rounds_ / microbatches_; }

  /// The microbatches that have begun, and not ended, on the rank: oldest first.
  std::vector<InFlight> in_flight(int rank) const {
    const auto& mine = chunks_of_[static_cast<size_t>(rank)];
    const int oldest = state(mine.front()).weight.done();
    const int begun = state(mine.front()).forward.done() - oldest;
    std::vector<InFlight> list(static_cast<size_t>(begun), {static_cast<int>(mine.size()), 0});
    for (int k : mine) {
      const int ran = state(k).forward.done() - oldest;
      const int done = std::max(0, state(k).weight.done() - oldest);
      for (int i = 0; i < ran; ++i) --list[static_cast<size_t>(i)].missing;
      for (int i = done; i < ran; ++i) ++list[static_cast<size_t>(i)].held;
    }
    return list;
  }

  /// Whether after one more forward of `chunk`, with `room` left, the rank's microbatches could
  /// still finish one after the other, oldest first, within the bound (the banker's algorithm).
  bool admits(int rank, int chunk, int room, const std::vector<InFlight>& in_flight) const {
    const auto& mine = chunks_of_[static_cast<size_t>(rank)];
    const int next = state(chunk).forward.done() - state(mine.front()).weight.done();
    const int begun = static_cast<int>(in_flight.size()) + (chunk == mine.front() ? 1 : 0);
    for (int i = 0; i < begun; ++i) {
      const bool new_one = static_cast<size_t>(i) == in_flight.size();
      auto [missing, held] =
          new_one ? InFlight{static_cast<int>(mine.size()), 0} : in_flight[static_cast<size_t>(i)];
      if (i == next) {
        --missing;
        ++held;
      }
      if (missing > room) return false;
      room += held;
    }
    return true;
  }

  void record(int rank, const Action& action, double start) {
    ChunkState& at = state(action.chunk);
    const Durations& cost = durations_[static_cast<size_t>(action.chunk)];
    double end = start;
    if (action.op == Op::forward) {
      end += cost.forward;
      at.forward.ends.push_back(end);
    }
    if (gives_input_gradient(action.op)) {
      end += cost.backward_input + (rule_.split ? 0.0 : cost.backward_weight);
      at.input.ends.push_back(end);
    }
    if (gives_weight_gradient(action.op)) {
      end += rule_.split ? cost.backward_weight : 0.0;
      at.weight.ends.push_back(end);
    }
    free_at_[static_cast<size_t>(rank)] = end;
    if (action.op != Op::backward_weight) {
      owes_forward_[static_cast<size_t>(rank)] = alternate_ && action.op != Op::forward;
    }
    program_[static_cast<size_t>(rank)].push_back(action);
  }

  bool alternate_;
  const Rule& rule_;
  int microbatches_;
  int rounds_;
  bool in_order_;
  const Placement& placement_;
  std::vector<Durations> durations_;
  std::vector<int> bounds_;
  std::vector<ChunkState> chunks_;
  std::vector<std::vector<int>> chunks_of_;
  std::vector<Start> next_;  ///< per rank
  std::vector<double> free_at_;
  std::vector<bool> owes_forward_;  ///< the rank ran a backward last and is to alternate
  Program program_;
};

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
  const Rule& rule = rule_of(options.kind);
  const int all = options.microbatches * placement.passes();
  const int fewest = rounds(options, placement);
  const int round =
      turns(placement) ? placement.pipeline : (options.microbatches + fewest - 1) / fewest;
  const int window = (placement.passes() - 1) * round + placement.pipeline;
  std::vector<int> bounds;
  for (int rank = 0; rank < placement.pipeline; ++rank) {
    const std::vector<int> mine = placement.chunks_of(rank);
    if (!placement.ranks.empty()) {
      // No route to count on: a full pipeline of whole microbatches.
      const int held = options.microbatches * static_cast<int>(mine.size());
      bounds.push_back(std::min(held, placement.chunks()));
      continue;
    }
    const int hops = placement.chunks() - 1 - mine.back();
    bounds.push_back(std::min(all, window - mine.front() + rule.room_per_hop * hops));
  }
  const int most = *std::max_element(bounds.begin(), bounds.end());
  if (!placement.ranks.empty()) return bounds;
  if (rule.split || turns(placement)) std::fill(bounds.begin(), bounds.end(), most);
  if (rule.one_round) std::fill(bounds.begin(), bounds.end(), all);
  return bounds;
}

namespace {

/// Without the way back of chunks that are only taken forward.
Program trained_part(Program program, const Placement& placement) {
  for (RankProgram& list : program) {
    std::erase_if(list, [&](const Action& action) {
      return action.op != Op::forward && action.chunk < placement.trained_from;
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
  ListScheduler alternating(options, placement, true);
  Program program = alternating.run();
  if (runs_in_order(options.kind, placement)) return trained_part(program, placement);
  // Neither preference is the better one on every route.
  ListScheduler backward_first(options, placement, false);
  Program other = backward_first.run();
  return trained_part(alternating.end() <= backward_first.end() ? program : other, placement);
}

}  // namespace rondo
