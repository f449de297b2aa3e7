#include "distributed/plan/schedule/simulate.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

#include "distributed/plan/schedule/schedule_text.h"

namespace rondo {
namespace {

/// Where an action stands on the timeline.
struct Place {
  int rank = 0;
  size_t entry = 0;
};

/// Messages from one rank to another, in order: the n-th send meets the n-th receive.
struct Channel {
  std::vector<Place> sends;
  std::vector<Place> receives;
  size_t delivered = 0;
  double free_at = 0.0;
};

/// One sum: which of its ranks have come to it.
struct Sum {
  size_t ranks = 0;
  std::vector<Place> arrived;
};

struct Rank {
  size_t next = 0;             ///< position in its list
  double clock = 0.0;          ///< until when it computes or waits
  double sums_until = 0.0;     ///< until when it sums
  std::vector<int> sums = {};  ///< that it has come to, in order
  size_t summed = 0;           ///< how many of them are done
  double busy = 0.0;
  int live = 0;
  int64_t live_bytes = 0;
};

class Simulator {
 public:
  Simulator(const Program& program, const Placement& placement,
            const std::vector<ComponentGroup>& groups, const StepCosts& costs)
      : program_(program),
        placement_(placement),
        costs_(costs),
        ranks_(program.size()),
        cells_{placement.size(), microbatches_of(program)},
        activation_at_(cells_.count(), not_yet),
        gradient_at_(cells_.count(), not_yet) {
    costs_.chunks.resize(placement.chunks.size());
    costs_.messages.resize(placement.chunks.size());
    costs_.links.resize(program.size() * program.size());
    costs_.reduces.resize(groups.size());
    costs_.chunk_ready_s.resize(costs_.chunks.size());
    costs_.rank_ready_s.resize(program.size());
    for (size_t rank = 0; rank < program.size(); ++rank) {
      ranks_[rank].sums_until = costs_.rank_ready_s[rank];
    }
    channels_.resize(costs_.links.size());
    for (const ComponentGroup& group : groups) sums_.push_back({group.pipeline_ranks.size(), {}});
    result_.timeline.resize(program.size());
    result_.peak_live.resize(program.size(), 0);
    result_.peak_live_bytes.resize(program.size(), 0);
    result_.activation_sent_bytes.resize(program.size(), 0);
    result_.reduce_sent_bytes.resize(program.size(), 0);
  }

  Simulation run() {
    for (bool moved = true; moved;) {
      moved = false;
      for (int rank = 0; rank < placement_.pipeline; ++rank) {
        while (advance(rank) || sum(rank)) moved = true;
      }
    }
    finish();
    return std::move(result_);
  }

 private:
  Rank& at(int rank) { return ranks_[rank]; }
  TimedAction& entry(const Place& place) { return result_.timeline[place.rank][place.entry]; }
  size_t link(int from, int to) const {
    return static_cast<size_t>(from) * program_.size() + static_cast<size_t>(to);
  }

  Place place(int rank, const Action& action, double start, double end) {
    auto& timeline = result_.timeline[rank];
    timeline.push_back({action, start, end});
    return {rank, timeline.size() - 1};
  }

  /// Runs the rank's next action, if what it waits for is known.
  bool advance(int rank) {
    Rank& self = at(rank);
    const RankProgram& list = program_[rank];
    const bool waits = !costs_.reduces_overlap && self.summed < self.sums.size();
    if (self.next == list.size() || waits) return false;
    const Action& action = list[self.next];
    if (is_compute(action.op)) {
      const std::optional<double> inputs = inputs_at(rank, action);
      if (!inputs) return false;
      compute(rank, action, std::max(self.clock, *inputs));
    } else if (action.op == Op::reduce) {
      self.sums.push_back(action.group);
      sums_[action.group].arrived.push_back(place(rank, action, self.clock, self.clock));
    } else {
      post(rank, action);
    }
    ++self.next;
    return true;
  }

  /// When the inputs of a computation are there, if that is known yet.
  std::optional<double> inputs_at(int rank, const Action& action) const {
    const auto& [op, k, i, group] = action;
    if (op == Op::backward_weight) return 0.0;
    const bool forward = op == Op::forward;
    const int giver = forward ? k - 1 : k + 1;
    const double ready = costs_.chunk_ready_s[k];
    if (giver < 0 || giver == placement_.size() || placement_.rank_of(giver) == rank) {
      return ready;
    }
    const double received = (forward ? activation_at_ : gradient_at_)[cells_.at(k, i)];
    if (received == not_yet) return std::nullopt;
    return std::max(ready, received);
  }

  void compute(int rank, const Action& action, double start) {
    Rank& self = at(rank);
    const ChunkCost& cost = costs_.chunks[action.chunk];
    double seconds = 0.0;
    if (action.op == Op::forward) {
      seconds += cost.forward_s;
      const bool kept = placement_.chunk(action.chunk).trained;
      self.live += kept ? 1 : 0;
      self.live_bytes += kept ? cost.live_bytes : 0;
    }
    auto& peak = result_.peak_live[rank];
    auto& peak_bytes = result_.peak_live_bytes[rank];
    peak = std::max(peak, self.live);
    peak_bytes = std::max(peak_bytes, self.live_bytes);
    if (gives_input_gradient(action.op)) seconds += cost.backward_input_s;
    if (gives_weight_gradient(action.op)) {
      seconds += cost.backward_weight_s;
      self.live -= 1;
      self.live_bytes -= cost.live_bytes;
    }
    self.clock = start + seconds;
    self.busy += seconds;
    place(rank, action, start, self.clock);
  }

  void post(int rank, const Action& action) {
    const auto& [op, k, i, group] = action;
    const int peer = placement_.rank_of(counterpart(action).chunk);
    const Place posted = place(rank, action, at(rank).clock, at(rank).clock);
    const MessageCost& message = message_of(action);
    at(rank).clock += message.posting_s;
    const int from = is_send(op) ? rank : peer;
    const int to = is_send(op) ? peer : rank;
    Channel& channel = channels_[link(from, to)];
    (is_send(op) ? channel.sends : channel.receives).push_back(posted);
    if (is_send(op)) {
      result_.activation_sent_bytes[rank] += message.bytes;
    }
    const size_t n = channel.delivered;
    if (n < std::min(channel.sends.size(), channel.receives.size())) {
      deliver(channel, costs_.links[link(from, to)]);
    }
  }

  /// Of a send or a receive: upwards, the message belongs to the chunk above.
  const MessageCost& message_of(const Action& action) const {
    const int above = meets_next_chunk(action.op) ? action.chunk + 1 : action.chunk;
    return costs_.messages[above];
  }

  void deliver(Channel& channel, const LinkCost& cost) {
    TimedAction& send = entry(channel.sends[channel.delivered]);
    TimedAction& receive = entry(channel.receives[channel.delivered]);
    ++channel.delivered;
    const auto bytes = static_cast<double>(message_of(send.action).bytes);
    const double start = std::max({send.start_s, receive.start_s, channel.free_at});
    channel.free_at = start + cost.transfer_s(bytes);
    send.end_s = receive.end_s = channel.free_at + cost.latency_s;
    const auto& [op, k, i, group] = receive.action;
    (op == Op::receive_activation ? activation_at_ : gradient_at_)[cells_.at(k, i)] = receive.end_s;
  }

  /// Settles the rank's oldest open sum, if all its ranks have come to it and to no older one.
  bool sum(int rank) {
    const Rank& self = at(rank);
    if (self.summed == self.sums.size()) return false;
    const int g = self.sums[self.summed];
    Sum& sum = sums_[g];
    if (sum.arrived.size() < sum.ranks) return false;
    double start = 0.0;
    for (const Place& place : sum.arrived) {
      const Rank& member = at(place.rank);
      if (member.sums[member.summed] != g) return false;
      start = std::max({start, entry(place).start_s, member.sums_until});
    }
    const ReduceCost& cost = costs_.reduces[g];
    for (const Place& place : sum.arrived) {
      Rank& member = at(place.rank);
      ++member.summed;
      member.sums_until = start + cost.seconds;
      if (!costs_.reduces_overlap) member.clock = member.sums_until;
      entry(place).start_s = start;
      entry(place).end_s = member.sums_until;
      result_.reduce_sent_bytes[place.rank] += cost.sent_bytes;
    }
    return true;
  }

  void finish() {
    double busy = 0.0;
    for (int rank = 0; rank < placement_.pipeline; ++rank) {
      const RankProgram& list = program_[rank];
      const Rank& self = at(rank);
      const bool sums = self.summed < self.sums.size();
      if (self.next < list.size() || sums) {
        const Action stuck = sums ? reduce_action(self.sums[self.summed]) : list[self.next];
        throw std::logic_error(
            fmt::format("the program hangs: rank {} waits for ever at {}", rank, to_text(stuck)));
      }
      result_.step_s = std::max({result_.step_s, self.clock, self.sums_until});
      busy += self.busy;
    }
    const double ranks = static_cast<double>(placement_.pipeline);
    result_.bubble = result_.step_s > 0.0 ? 1.0 - busy / (ranks * result_.step_s) : 0.0;
  }

  const Program& program_;
  const Placement& placement_;
  StepCosts costs_;
  std::vector<Rank> ranks_;
  std::vector<Channel> channels_;
  std::vector<Sum> sums_;
  static constexpr double not_yet = -1.0;
  Cells cells_;
  std::vector<double> activation_at_;  ///< when a chunk has received it, by cell
  std::vector<double> gradient_at_;    ///< likewise
  Simulation result_;
};

}  // namespace

Simulation simulate(const Program& program, const Placement& placement,
                    const std::vector<ComponentGroup>& groups, const StepCosts& costs) {
  return Simulator(program, placement, groups, costs).run();
}

}  // namespace rondo
