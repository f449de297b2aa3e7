#include "distributed/pipeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <stdexcept>
#include <thread>
#include <tuple>
#include <utility>

#include "distributed/recorder.h"
#include "distributed/tensor_buffer.h"

namespace rondo {
namespace {

using at::Tensor;

/// What flows into a computation of a chunk: its input, or the gradient of its output.
enum class Flow : uint8_t { activation, gradient };

/// One message a tensor of a stream.
using Messages = std::vector<std::unique_ptr<Pending>>;

/// A stream, and the messages that bring it, if any do.
struct Arrival {
  Stream value;
  Messages messages = {};
  size_t entry = 0;  ///< of the receive, on the timeline
};

/// The tensors of a stream, which must live until their messages have left.
struct Departure {
  std::vector<Tensor> tensors = {};
  Messages messages = {};
  size_t entry;  ///< of the send, on the timeline
};

/// A sum that was started.
struct OpenSum {
  int group;
  size_t entry;  ///< on the timeline
};

}  // namespace

/// The state of one run.
struct Pipeline::Execution {
  const MicrobatchSource& source;
  double gradient_scale;
  std::set<int> kept = {};             ///< chunks of this rank that will be taken backward
  std::set<int> gradient_leaves = {};  ///< chunks of this rank whose input gradient is sent
  Recorder recorder;
  PhaseClock clock = {};
  std::map<std::pair<int, int>, Stage::Tape> tapes = {};  ///< by chunk and microbatch
  std::map<std::tuple<Flow, int, int>, Arrival> arrivals = {};
  std::vector<Departure> departures = {};
  std::vector<OpenSum> sums = {};  ///< of a timed run, in order
  LossSums losses = {};            ///< of this rank's chunks
  Run run = {};

  /// The flow into (chunk, microbatch), once it is there.
  Stream take(Flow flow, int chunk, int microbatch) {
    auto node = arrivals.extract({flow, chunk, microbatch});
    if (node.empty()) {
      throw std::logic_error(fmt::format("chunk {}, microbatch {}: {} was never produced", chunk,
                                         microbatch,
                                         flow == Flow::activation ? "input" : "gradient"));
    }
    Arrival& arrival = node.mapped();
    const PhaseClock::In waiting(clock, Phase::messages);
    for (const auto& message : arrival.messages) message->wait();
    recorder.begin();  // the computation that waited for it
    if (!arrival.messages.empty()) recorder.end(arrival.entry);
    return std::move(arrival.value);
  }

  void give(Flow flow, int chunk, int microbatch, Arrival arrival) {
    arrivals[{flow, chunk, microbatch}] = std::move(arrival);
  }

  /// Up to the first that is still under way: to ask each of many costs more than the memory of a
  /// few is worth.
  void release_departed() {
    const auto under_way =
        std::find_if(departures.begin(), departures.end(), [](const Departure& departure) {
          return !std::all_of(departure.messages.begin(), departure.messages.end(),
                              [](const auto& message) { return message->done(); });
        });
    for (auto left = departures.begin(); left != under_way; ++left) recorder.end(left->entry);
    departures.erase(departures.begin(), under_way);
  }
};

Pipeline::Pipeline(const StepPlan& step, const ComponentStore& store, const StageOptions& options,
                   Communicator& ranks, ShardedOptimizer& optimizer)
    : placement_(step.placement),
      ranks_(ranks),
      optimizer_(optimizer),
      pool_(at::dtype(store.precision().compute).device(store.device())) {
  for (int k : placement_.chunks_of(ranks.rank())) {
    const Chunk& chunk = placement_.chunk(k);
    StageOptions own = options;
    own.halves = chunk.halves;
    own.embeds = chunk.embeds;
    own.ends_with_head = chunk.ends_with_head;
    stages_.emplace(k, Stage(step.model, store, own));
    widths_in_[k] = stream_widths(step.model, chunk.halves.begin);
    widths_out_[k] = stream_widths(step.model, chunk.halves.end);
  }
  for (size_t g = 0; g < step.groups.size(); ++g) {
    for (int k : step.groups[g].chunks) groups_of_[k].push_back(static_cast<int>(g));
  }
}

const Stage* Pipeline::head_stage() const {
  const auto last = stages_.find(placement_.size() - 1);
  return last == stages_.end() ? nullptr : &last->second;
}

std::vector<Half> Pipeline::halves() const {
  std::vector<Half> list;
  for (const auto& [chunk, stage] : stages_) {
    list.insert(list.end(), stage.halves().begin(), stage.halves().end());
  }
  return list;
}

Pipeline::Run Pipeline::run(const RankProgram& program, const MicrobatchSource& source,
                            double gradient_scale, bool timed) {
  Execution execution{
      .source = source, .gradient_scale = gradient_scale, .recorder = Recorder(timed)};
  for (const Action& action : program) {
    if (gives_input_gradient(action.op)) execution.kept.insert(action.chunk);
    if (action.op == Op::send_gradient) execution.gradient_leaves.insert(action.chunk);
  }
  for (const Action& action : program) {
    execution.recorder.enter(action);
    execute(action, execution);
    if (is_compute(action.op)) execution.recorder.end(execution.recorder.newest());
    execution.release_departed();
    note_sums(execution);
  }
  finish(execution);
  if (!execution.arrivals.empty() || !execution.tapes.empty()) {
    throw std::logic_error("the program leaves something behind");
  }
  for (const auto& [name, sum] : execution.losses) {
    execution.run.losses[name] = sum.item<double>();
  }
  execution.run.timeline = execution.recorder.take();
  execution.run.phases = execution.clock.seconds();
  return std::move(execution.run);
}

/// Waits for what the program has sent, and, where the run is timed, for its sums.
void Pipeline::finish(Execution& execution) {
  const PhaseClock::In waiting(execution.clock, Phase::messages);
  for (const Departure& departure : execution.departures) {
    for (const auto& message : departure.messages) message->wait();
  }
  execution.release_departed();
  while (!execution.sums.empty()) {
    std::this_thread::sleep_for(std::chrono::microseconds(20));
    note_sums(execution);
  }
}

/// Enters on the timeline when a sum has ended.
void Pipeline::note_sums(Execution& execution) {
  std::erase_if(execution.sums, [&](const OpenSum& sum) {
    if (!optimizer_.sum_done(sum.group)) return false;
    execution.recorder.end(sum.entry);
    return true;
  });
}

void Pipeline::execute(const Action& action, Execution& execution) {
  switch (action.op) {
    case Op::forward:
      return forward(action, execution);
    case Op::backward:
    case Op::backward_input:
      return backward(action, execution);
    case Op::backward_weight: {
      const PhaseClock::In backward(execution.clock, Phase::backward);
      auto tape = execution.tapes.extract({action.chunk, action.microbatch});
      return Stage::backward_weight(tape.mapped());
    }
    case Op::send_activation:
    case Op::send_gradient:
      return send(action, execution);
    case Op::receive_activation:
    case Op::receive_gradient:
      return receive(action, execution);
    case Op::reduce: {
      optimizer_.start_reduce(action.group);
      if (!execution.recorder.on()) return;
      execution.sums.push_back({action.group, execution.recorder.newest()});
      return;
    }
  }
}

void Pipeline::forward(const Action& action, Execution& execution) {
  const auto& [op, k, i, group] = action;
  const PhaseClock::In computing(execution.clock, Phase::forward);
  wait_for_values(k, execution);
  const Stage& stage = stages_.at(k);
  const Stream stream = k == 0 ? Stream() : execution.take(Flow::activation, k, i);
  const Microbatch batch = stage.reads_batch() ? load(i, execution) : Microbatch{};
  StageResult result;
  if (execution.kept.contains(k)) {
    Stage::Tape& tape = execution.tapes[{k, i}];
    result = stage.forward(batch, stream, execution.gradient_scale, tape);
    execution.run.peak_live =
        std::max(execution.run.peak_live, static_cast<int>(execution.tapes.size()));
  } else {
    result = stage.evaluate(batch, stream);
  }
  add(execution.losses, result.losses);
  if (k + 1 == placement_.size()) return;
  execution.give(Flow::activation, k + 1, i, {.value = std::move(result.stream)});
}

void Pipeline::wait_for_values(int chunk, Execution& execution) {
  const PhaseClock::In waiting(execution.clock, Phase::sums);
  for (int own : groups_of_[chunk]) optimizer_.wait_for_values(own);
}

Microbatch Pipeline::load(int microbatch, Execution& execution) {
  const PhaseClock::In loading(execution.clock, Phase::data);
  return execution.source.load(microbatch);
}

void Pipeline::backward(const Action& action, Execution& execution) {
  const auto& [op, k, i, group] = action;
  const PhaseClock::In computing(execution.clock, Phase::backward);
  const bool last = k + 1 == placement_.size();
  const Stream g = last ? Stream() : execution.take(Flow::gradient, k, i);
  const auto tape = execution.tapes.find({k, i});
  if (tape == execution.tapes.end()) {
    throw std::logic_error(
        fmt::format("chunk {}, microbatch {}: backward runs before forward", k, i));
  }
  const Stage& stage = stages_.at(k);
  Stream result;
  if (op == Op::backward) {
    result = stage.backward(g, tape->second);
    execution.tapes.erase(tape);
  } else {
    result = stage.backward_input(g, tape->second);
  }
  if (execution.kept.contains(k - 1) || execution.gradient_leaves.contains(k)) {
    execution.give(Flow::gradient, k - 1, i, {.value = std::move(result)});
  }
}

void Pipeline::send(const Action& action, Execution& execution) {
  const auto& [op, k, i, group] = action;
  const Flow flow = op == Op::send_activation ? Flow::activation : Flow::gradient;
  const int to = counterpart(action).chunk;
  Departure departure{.entry = execution.recorder.newest()};
  for (const Tensor& tensor : execution.take(flow, to, i).tensors()) {
    departure.tensors.push_back(tensor.contiguous());
    departure.messages.push_back(
        ranks_.start_send(buffer_of(departure.tensors.back()), placement_.rank_of(to)));
  }
  execution.departures.push_back(std::move(departure));
}

void Pipeline::receive(const Action& action, Execution& execution) {
  const auto& [op, k, i, group] = action;
  const Flow flow = op == Op::receive_activation ? Flow::activation : Flow::gradient;
  const auto& widths = flow == Flow::activation ? widths_in_.at(k) : widths_out_.at(k);
  Arrival arrival{.value = {}, .messages = {}, .entry = execution.recorder.newest()};
  std::vector<Tensor> tensors;
  for (const int64_t width : widths) {
    tensors.push_back(pool_.take(execution.source.rows(i), width));
    arrival.messages.push_back(ranks_.start_receive(buffer_of(tensors.back()),
                                                    placement_.rank_of(counterpart(action).chunk)));
  }
  arrival.value = Stream::of(std::move(tensors));
  execution.give(flow, k, i, std::move(arrival));
}

}  // namespace rondo
