// What flows through the halves of a model, and what they add to the loss.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace rondo {

/// What crosses from one half to the next, within a chunk or between ranks. Its widths are a
/// function of the definition: stream_widths().
struct Stream {
  at::Tensor x = {};                     ///< the residual stream, [rows, hidden]
  std::vector<at::Tensor> carried = {};  ///< [rows, width] each

  /// x and what is carried, in the order in which messages bring them.
  std::vector<at::Tensor> tensors() const {
    std::vector<at::Tensor> list = {x};
    list.insert(list.end(), carried.begin(), carried.end());
    return list;
  }
  static Stream of(std::vector<at::Tensor> tensors) {
    Stream stream{.x = std::move(tensors.front())};
    stream.carried.assign(std::make_move_iterator(tensors.begin() + 1),
                          std::make_move_iterator(tensors.end()));
    return stream;
  }
};

/// Sums over the target tokens of one microbatch or of several, by name: 0-d float64.
using LossSums = std::map<std::string, at::Tensor>;

/// The names of the sums that the head makes.
inline constexpr const char* cross_entropy = "cross_entropy";  ///< −log p(target), in nats
inline constexpr const char* divergence = "divergence";        ///< KL(teacher ‖ model)

inline void add(LossSums& sums, const LossSums& more) {
  for (const auto& [name, value] : more) {
    const auto [sum, is_new] = sums.emplace(name, value);
    if (!is_new) sum->second = sum->second + value;
  }
}

/// What the halves of a stage add to the objective besides the head's loss (a router's balance, a
/// regulariser). A term is a 0-d tensor of the graph, summed over the rows of the microbatch as the
/// head's loss is; backward differentiates it with the head's loss, and its sum is reported.
struct LossTerm {
  std::string name;
  at::Tensor value;
};
using LossTerms = std::vector<LossTerm>;

}  // namespace rondo
