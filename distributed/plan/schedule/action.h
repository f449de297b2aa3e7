// One thing that one pipeline rank does. Programs are data: generated, lowered, checked, simulated
// and executed as the same values.
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace rondo {

enum class Op : uint8_t {
  forward,
  backward,            ///< gradients of the chunk's input and of its weights
  backward_input,      ///< the first half of `backward` …
  backward_weight,     ///< … and the second, which may wait
  send_activation,     ///< the chunk's output to the rank of the next chunk
  receive_activation,  ///< the chunk's input
  send_gradient,       ///< of the chunk's input, to the rank of the chunk before
  receive_gradient,    ///< of the chunk's output
  reduce,              ///< sum of a group's gradients
};

struct Action {
  Op op = Op::forward;
  int chunk = 0;
  int microbatch = 0;
  int group = 0;  ///< of reduce, which has neither chunk nor microbatch
  auto operator<=>(const Action&) const = default;
};

/// Sums the gradients of group `group`, an index into the step's groups.
constexpr Action reduce_action(int group) { return {.op = Op::reduce, .group = group}; }

using RankProgram = std::vector<Action>;

/// One list of actions per pipeline rank.
using Program = std::vector<RankProgram>;

constexpr bool is_compute(Op op) { return op <= Op::backward_weight; }
constexpr bool is_send(Op op) { return op == Op::send_activation || op == Op::send_gradient; }
constexpr bool is_receive(Op op) {
  return op == Op::receive_activation || op == Op::receive_gradient;
}

/// Needs the chunk's activation first, and hands a gradient to the chunk before.
constexpr bool gives_input_gradient(Op op) {
  return op == Op::backward || op == Op::backward_input;
}

/// Adds to the gradients of the chunk's weights, and is the last to need its activation.
constexpr bool gives_weight_gradient(Op op) {
  return op == Op::backward || op == Op::backward_weight;
}

/// Whether a message goes up, to the rank of the next chunk, or comes from there.
constexpr bool meets_next_chunk(Op op) {
  return op == Op::send_activation || op == Op::receive_gradient;
}

/// The other end of a send or a receive.
constexpr Action counterpart(const Action& action) {
  const int peer = action.chunk + (meets_next_chunk(action.op) ? 1 : -1);
  constexpr auto other = [](Op op) {
    switch (op) {
      case Op::send_activation:
        return Op::receive_activation;
      case Op::receive_activation:
        return Op::send_activation;
      case Op::send_gradient:
        return Op::receive_gradient;
      default:
        return Op::send_gradient;
    }
  };
  return {.op = other(action.op), .chunk = peer, .microbatch = action.microbatch};
}

/// Numbers the (chunk, microbatch) of a program, for lists with an entry of each.
struct Cells {
  int chunks = 0;
  int microbatches = 0;

  bool has(const Action& action) const {
    return action.chunk >= 0 && action.chunk < chunks && action.microbatch >= 0 &&
           action.microbatch < microbatches;
  }
  size_t count() const { return static_cast<size_t>(chunks) * static_cast<size_t>(microbatches); }
  size_t at(int chunk, int microbatch) const {
    return static_cast<size_t>(chunk) * static_cast<size_t>(microbatches) +
           static_cast<size_t>(microbatch);
  }
};

/// One more than the highest that the program names.
inline int microbatches_of(const Program& program) {
  int count = 0;
  for (const RankProgram& list : program) {
    for (const Action& action : list) count = std::max(count, action.microbatch + 1);
  }
  return count;
}

}  // namespace rondo
