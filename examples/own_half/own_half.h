// A residual branch of one's own, in ordinary LibTorch code: x + gate ⊙ tanh(norm(x)·Wᵀ) in place
// of the feed-forward. Its parameters are shared, placed on pipeline ranks, reduced and updated
// like all others; nothing else of rondo knows of it.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/tanh.h>

#include "model/half.h"

namespace rondo {

/// What the branch keeps in a component, which layers share as `sharing.feed_forward` says.
inline Branch mixer_branch(const ModelSpec& model) {
  const int64_t hidden = model.hidden;
  return {.name = "mixer",
          .norm = Slot::feed_forward_norm,
          .weights = Slot::feed_forward,
          .tensors = {{"mix/weight", {hidden, hidden}, Role::matrix, {.deviation = 0.02}},
                      {"gate", {hidden}, Role::gain, {.mean = 1.0}}}};
}

/// Its mathematics. Autograd differentiates it; GraphParameter::tensor() brings the gradients of
/// the parameters into rondo's buffers.
inline HalfFunction mixer_half(HalfWeights& weights) {
  return [norm = weights.norm(), mix = weights.parameter("mix/weight"),
          gate = weights.parameter("gate")](const Stream& stream, const HalfContext&) -> Stream {
    const at::Tensor read = normalise(stream.x, norm);                  // [rows, hidden]
    const at::Tensor mixed = at::tanh(at::linear(read, mix.tensor()));  // [rows, hidden]
    return {.x = stream.x + gate.tensor() * mixed};
  };
}

/// `model` with the branch in place of its feed-forward.
inline ModelDefinition with_mixer(ModelDefinition model) {
  model.branches[1] = mixer_branch(model.spec);
  return model;
}

/// The builders of all its halves.
inline HalfBuilders builders_with_mixer() {
  HalfBuilders builders = built_in_halves();
  builders["mixer"] = mixer_half;
  return builders;
}

}  // namespace rondo
