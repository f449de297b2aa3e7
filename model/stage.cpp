#include "model/stage.h"

#include <fmt/format.h>

#include <stdexcept>

#include "model/embedding.h"

namespace rondo {
namespace {

using torch::Tensor;

Tensor leaf(const Tensor& x) { return x.detach().requires_grad_(true); }

/// Runs autograd from `output` back to the leaf `input`; returns and clears the leaf's gradient.
Tensor pull_back(const Tensor& input, const Tensor& output, const Tensor& gradient) {
  torch::autograd::backward({output}, {gradient});
  Tensor result = input.grad();
  input.mutable_grad().reset();
  return result;
}

const Parameter& weight_of(const Layer& layer, Slot slot) {
  switch (slot) {
    case Slot::attention:
      return layer.attention.qkv.weight;
    case Slot::feed_forward:
      return layer.feed_forward.gate_up.weight;
    case Slot::attention_norm:
      return layer.attention_norm.gain;
    case Slot::feed_forward_norm:
      return layer.feed_forward_norm.gain;
  }
  throw std::logic_error("no such slot");
}

}  // namespace

Stage::Stage(const ModelDefinition& model, const ComponentStore& store, const StageOptions& options)
    : model_(model),
      options_(options),
      table_(model.spec, options.sequence,
             torch::dtype(store.precision().compute).device(store.device())) {
  for (int i = options.begin; i < options.end; ++i) layers_.push_back(make_layer(model, store, i));
  if (first()) embedding_ = store.at("embedding/weight");
  if (last()) {
    final_norm_ = Norm{store.at("final_norm/weight"), model.spec.norm_eps};
    head_ = store.at(model.spec.tie_embeddings ? "embedding/weight" : "head/weight");
  }
}

Tensor Stage::start(const Microbatch& batch, const Tensor& x) const {
  return first() ? embed(batch.inputs, *embedding_) : x;
}

Tensor Stage::forward(const Microbatch& batch, const Tensor& x, double gradient_scale,
                      Tape& tape) const {
  tape = {};
  tape.batch = batch;
  Tensor stream = start(batch, x);  // [batch·sequence, hidden]
  for (const Layer& layer : layers_) {
    tape.inputs.push_back(leaf(stream));
    const torch::AutoGradMode mode(!options_.recompute);
    const Tensor output = run_layer(tape.inputs.back(), layer, model_.spec, table_);
    tape.outputs.push_back(options_.recompute ? Tensor() : output);
    stream = output.detach();
  }
  if (!last()) return stream;
  tape.norm_input = leaf(stream);
  tape.norm_output = rms_norm(tape.norm_input, *final_norm_);
  const HeadResult head =
      head_loss(tape.norm_output.detach(), *head_, batch.targets, gradient_scale);
  tape.head_gradient = head.gradient_x;
  return head.loss;
}

Tensor Stage::backward(const Tensor& gradient, Tape& tape) const {
  Tensor g = last() ? pull_back(tape.norm_input, tape.norm_output, tape.head_gradient) : gradient;
  for (size_t i = layers_.size(); i-- > 0;) {
    Tensor output = tape.outputs[i];
    if (options_.recompute) {
      output = run_layer(tape.inputs[i], layers_[i], model_.spec, table_);
    }
    g = pull_back(tape.inputs[i], output, g);
    tape.inputs.pop_back();
    tape.outputs.pop_back();
  }
  const Microbatch batch = tape.batch;
  tape = {};
  if (!first()) return g;
  embed_backward(batch.inputs, g, *embedding_);
  return {};
}

Tensor Stage::evaluate(const Microbatch& batch, const Tensor& x) const {
  const torch::NoGradGuard no_grad;
  Tensor stream = start(batch, x);
  for (const Layer& layer : layers_) stream = run_layer(stream, layer, model_.spec, table_);
  if (!last()) return stream;
  return head_loss(rms_norm(stream, *final_norm_), *head_, batch.targets, 0.0).loss;
}

void check_ties(const Stage& stage, const SharingMap& map, int first_layer) {
  const int count = static_cast<int>(stage.layers().size());
  const auto at = [&](int i, Slot slot) { return weight_of(stage.layers()[i], slot); };
  for (Slot slot : all_slots) {
    for (int i = 0; i < count; ++i) {
      for (int j = 0; j < i; ++j) {
        const bool tied = map.id(slot, first_layer + i) == map.id(slot, first_layer + j);
        const bool same_value = at(i, slot).value.is_alias_of(at(j, slot).value) &&
                                at(i, slot).value.data_ptr() == at(j, slot).value.data_ptr();
        const bool same_gradient =
            at(i, slot).gradient.data_ptr() == at(j, slot).gradient.data_ptr();
        if (tied == same_value && tied == same_gradient) continue;
        throw std::logic_error(fmt::format("{} of layers {} and {} should {}share memory",
                                           slot_name(slot), first_layer + j, first_layer + i,
                                           tied ? "" : "not "));
      }
    }
  }
}

}  // namespace rondo
