#include "distributed/pipeline.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <stdexcept>
#include <thread>
#include <tuple>
#include <utility>

#include "distributed/tensor_buffer.h"

namespace rondo {
namespace {

using torch::Tensor;
using Clock = std::chrono::steady_clock;

/// What flows into a computation of a chunk: its input, or the gradient of its output.
enum class Flow : uint8_t { activation, gradient };

/// [rows, hidden], and the message that brings it, if one does.
struct Arrival {
  Tensor value;
  std::unique_ptr<Pending> message = nullptr;
  size_t entry = 0;  ///< of the message, on the timeline
};

/// [rows, hidden] that must live until its message has left.
struct Departure {
  Tensor value;
  std::unique_ptr<Pending> message;
  size_t entry;  ///< on the timeline
};

/// A sum that was started.
struct OpenSum {
  int group;
  size_t entry;  ///< on the timeline
};

int peer_chunk(const Action& action) {
  const bool down = action.op == Op::receive_activation || action.op == Op::send_gradient;
  return down ? action.chunk - 1 : action.chunk + 1;
}

}  // namespace

/// The state of one run.
struct Pipeline::Execution {
  const MicrobatchSource& source;
  double gradient_scale;
  std::set<int> kept = {};             ///< chunks of this rank that will be taken backward
  std::set<int> gradient_leaves = {};  ///< chunks of this rank whose input gradient is sent
  bool timed;
  std::map<std::pair<int, int>, Stage::Tape> tapes = {};  ///< by chunk and microbatch
  std::map<std::tuple<Flow, int, int>, Arrival> arrivals = {};
  std::vector<Departure> departures = {};
  std::vector<OpenSum> sums = {};  ///< of a timed run, in order
  Tensor losses = {};              ///< [2] float64; undefined without the last chunk
  Run run = {};
  Clock::time_point start = Clock::now();

  double now() const { return std::chrono::duration<double>(Clock::now() - start).count(); }

  /// The flow into (chunk, microbatch), once it is there.
  Tensor take(Flow flow, int chunk, int microbatch) {
    auto node = arrivals.extract({flow, chunk, microbatch});
    if (node.empty()) throw std::logic_error("the program takes what nobody gave");
    Arrival& arrival = node.mapped();
    if (arrival.message) arrival.message->wait();
    if (timed) {
      run.timeline.back().start_s = now();  // of the computation that waited for it
      if (arrival.message) run.timeline[arrival.entry].end_s = now();
    }
    return std::move(arrival.value);
  }

  void give(Flow flow, int chunk, int microbatch, Arrival arrival) {
    arrivals[{flow, chunk, microbatch}] = std::move(arrival);
  }

  void release_departed() {
    std::erase_if(departures, [this](Departure& departure) {
      if (!departure.message->done()) return false;
      if (timed) run.timeline[departure.entry].end_s = now();
      return true;
    });
  }
};

Pipeline::Pipeline(const ModelDefinition& model, const ComponentStore& store,
                   const PipelineLayout& layout, Communicator& ranks, ReplicaBuffers& buffers)
    : placement_(layout.placement),
      hidden_(model.spec.hidden),
      ranks_(ranks),
      buffers_(buffers),
      reduced_groups_(layout.reduced_groups),
      pool_(torch::dtype(store.precision().compute).device(store.device())) {
  for (int k : placement_.chunks_of(ranks.rank())) {
    const Chunk chunk = placement_.chunk(k);
    stages_.emplace(k, Stage(model, store,
                             {.halves = {chunk.begin, chunk.end},
                              .first = chunk.embeds,
                              .last = chunk.heads,
                              .sequence = layout.sequence,
                              .recompute = layout.recompute,
                              .teach = layout.teach}));
  }
  for (size_t g = 0; g < layout.groups.size(); ++g) {
    for (int k : layout.groups[g].chunks) groups_of_[k].push_back(static_cast<int>(g));
  }
}

std::vector<Layer> Pipeline::layers() const {
  std::vector<Layer> list;
  for (const auto& [chunk, stage] : stages_) {
    list.insert(list.end(), stage.layers().begin(), stage.layers().end());
  }
  return list;
}

Pipeline::Run Pipeline::run(const RankProgram& program, const MicrobatchSource& source,
                            double gradient_scale, bool timed) {
  Execution execution{.source = source, .gradient_scale = gradient_scale, .timed = timed};
  for (const Action& action : program) {
    if (gives_input_gradient(action.op)) execution.kept.insert(action.chunk);
    if (action.op == Op::send_gradient) execution.gradient_leaves.insert(action.chunk);
  }
  for (const Action& action : program) {
    if (timed) {
      const double now = execution.now();
      execution.run.timeline.push_back({action, now, now});
    }
    execute(action, execution);
    if (timed && is_compute(action.op)) execution.run.timeline.back().end_s = execution.now();
    execution.release_departed();
    if (timed) note_sums(execution);
  }
  for (Departure& departure : execution.departures) departure.message->wait();
  execution.release_departed();
  while (!execution.sums.empty()) {
    std::this_thread::sleep_for(std::chrono::microseconds(20));
    note_sums(execution);
  }
  if (!execution.arrivals.empty() || !execution.tapes.empty()) {
    throw std::logic_error("the program leaves something behind");
  }
  if (execution.losses.defined()) {
    execution.run.loss = execution.losses[0].item<double>();
    execution.run.divergence = execution.losses[1].item<double>();
  }
  return std::move(execution.run);
}

/// Enters on the timeline when a sum has ended.
void Pipeline::note_sums(Execution& execution) {
  std::erase_if(execution.sums, [&](const OpenSum& sum) {
    if (!buffers_.sum_done(sum.group)) return false;
    execution.run.timeline[sum.entry].end_s = execution.now();
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
      const int group = reduced_groups_.at(static_cast<size_t>(action.chunk));
      buffers_.start_reduce(group);
      if (execution.timed) execution.sums.push_back({group, execution.run.timeline.size() - 1});
      return;
    }
  }
}

void Pipeline::forward(const Action& action, Execution& execution) {
  const auto [op, k, i] = action;
  for (int group : groups_of_[k]) buffers_.wait_for_values(group);
  const bool first = k == 0;
  const bool last = k + 1 == placement_.chunks();
  const Tensor x = first ? Tensor() : execution.take(Flow::activation, k, i);
  const Microbatch batch = first || last ? execution.source.load(i) : Microbatch{};
  const Stage& stage = stages_.at(k);
  Tensor result;
  if (execution.kept.contains(k)) {
    Stage::Tape& tape = execution.tapes[{k, i}];
    result = stage.forward(batch, x, execution.gradient_scale, tape);
    execution.run.peak_live =
        std::max(execution.run.peak_live, static_cast<int>(execution.tapes.size()));
  } else {
    result = stage.evaluate(batch, x);
  }
  if (last) {
    execution.losses = execution.losses.defined() ? execution.losses + result : result;
  } else {
    execution.give(Flow::activation, k + 1, i, {.value = result});
  }
}

void Pipeline::backward(const Action& action, Execution& execution) {
  const auto [op, k, i] = action;
  const bool last = k + 1 == placement_.chunks();
  const Tensor g = last ? Tensor() : execution.take(Flow::gradient, k, i);
  const auto tape = execution.tapes.find({k, i});
  if (tape == execution.tapes.end()) throw std::logic_error("a backward without its forward");
  const Stage& stage = stages_.at(k);
  Tensor result;
  if (op == Op::backward) {
    result = stage.backward(g, tape->second);
    execution.tapes.erase(tape);
  } else {
    result = stage.backward_input(g, tape->second);
  }
  if (execution.kept.contains(k - 1) || execution.gradient_leaves.contains(k)) {
    execution.give(Flow::gradient, k - 1, i, {.value = result});
  }
}

void Pipeline::send(const Action& action, Execution& execution) {
  const auto [op, k, i] = action;
  const Flow flow = op == Op::send_activation ? Flow::activation : Flow::gradient;
  const int to = peer_chunk(action);
  const Tensor value = execution.take(flow, to, i).contiguous();
  auto message = ranks_.start_send(buffer_of(value), placement_.rank_of(to));
  const size_t entry = execution.run.timeline.size() - 1;
  execution.departures.push_back({value, std::move(message), entry});
}

void Pipeline::receive(const Action& action, Execution& execution) {
  const auto [op, k, i] = action;
  const Flow flow = op == Op::receive_activation ? Flow::activation : Flow::gradient;
  const Tensor value = pool_.take(execution.source.rows(i), hidden_);
  auto message = ranks_.start_receive(buffer_of(value), placement_.rank_of(peer_chunk(action)));
  const size_t entry = execution.run.timeline.size() - 1;
  execution.give(flow, k, i, {value, std::move(message), entry});
}

}  // namespace rondo
