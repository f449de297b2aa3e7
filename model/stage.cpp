#include "model/stage.h"

#include <fmt/format.h>

#include <cmath>
#include <stdexcept>

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

void append(std::vector<Parameter>& list, const Linear& use) {
  list.push_back(use.weight);
  if (use.bias) list.push_back(*use.bias);
}

void append(std::vector<Parameter>& list, const Norm& use) {
  list.push_back(use.gain);
  if (use.bias) list.push_back(*use.bias);
}

/// What the layer uses of the slot's component.
std::vector<Parameter> shared_parameters(const Layer& layer, Slot slot) {
  std::vector<Parameter> list;
  switch (slot) {
    case Slot::attention:
      append(list, layer.attention.qkv);
      append(list, layer.attention.output);
      if (layer.attention.query_norm) append(list, *layer.attention.query_norm);
      if (layer.attention.key_norm) append(list, *layer.attention.key_norm);
      break;
    case Slot::feed_forward:
      append(list, layer.feed_forward.up);
      append(list, layer.feed_forward.down);
      break;
    case Slot::attention_norm:
      append(list, layer.attention_norm);
      break;
    case Slot::feed_forward_norm:
      append(list, layer.feed_forward_norm);
      break;
  }
  return list;
}

std::vector<Parameter> own_parameters(const Layer& layer) {
  std::vector<Parameter> list;
  for (const Linear* use : {&layer.attention.qkv, &layer.attention.output, &layer.feed_forward.up,
                            &layer.feed_forward.down}) {
    for (const Adapter& adapter : use->adapters) {
      list.push_back(adapter.a);
      list.push_back(adapter.b);
    }
  }
  return list;
}

/// Whether the parameters of two layers are, value and gradient, the same memory or `not` at all.
bool memory_agrees(const std::vector<Parameter>& a, const std::vector<Parameter>& b, bool tied) {
  bool agrees = a.size() == b.size();
  for (size_t k = 0; agrees && k < a.size(); ++k) {
    agrees = tied == (a[k].value.data_ptr() == b[k].value.data_ptr()) &&
             tied == (a[k].gradient.data_ptr() == b[k].gradient.data_ptr());
  }
  return agrees;
}

}  // namespace

Stage::Stage(const ModelDefinition& model, const ComponentStore& store, const StageOptions& options)
    : model_(model),
      options_(options),
      table_(model.spec, options.sequence,
             torch::dtype(store.precision().compute).device(store.device())) {
  for (int i = options.begin; i < options.end; ++i) layers_.push_back(make_layer(model, store, i));
  const BlockParts& parts = block_parts(model.spec);
  if (first()) {
    embedding_ = Embedding{.tokens = store.at("embedding/weight")};
    if (parts.scaled_embedding) {
      embedding_->scale = std::sqrt(static_cast<double>(model.spec.hidden));
    }
    if (!parts.rotary) embedding_->positions = store.at("positions/weight");
  }
  if (last()) {
    final_norm_ = make_norm(model.spec, store, "final_norm");
    head_ = store.at(model.spec.tie_embeddings ? "embedding/weight" : "head/weight");
  }
}

Tensor Stage::start(const Microbatch& batch, const Tensor& x) const {
  return first() ? embed(batch.inputs, options_.sequence, *embedding_) : x;
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
  tape.norm_output = normalise(tape.norm_input, *final_norm_);
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
  embed_backward(batch.inputs, options_.sequence, g, *embedding_);
  return {};
}

Tensor Stage::evaluate(const Microbatch& batch, const Tensor& x) const {
  const torch::NoGradGuard no_grad;
  Tensor stream = start(batch, x);
  for (const Layer& layer : layers_) stream = run_layer(stream, layer, model_.spec, table_);
  if (!last()) return stream;
  return head_loss(normalise(stream, *final_norm_), *head_, batch.targets, 0.0).loss;
}

void check_ties(const Stage& stage, const SharingMap& map, int first_layer) {
  const std::vector<Layer>& layers = stage.layers();
  for (size_t i = 0; i < layers.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      const int later = first_layer + static_cast<int>(i);
      const int earlier = first_layer + static_cast<int>(j);
      const auto expect = [&](bool agrees, std::string_view what, bool tied) {
        if (agrees) return;
        throw std::logic_error(fmt::format("{} of layers {} and {} should {}share memory", what,
                                           earlier, later, tied ? "" : "not "));
      };
      for (Slot slot : all_slots) {
        const bool tied = map.id(slot, earlier) == map.id(slot, later);
        expect(memory_agrees(shared_parameters(layers[j], slot), shared_parameters(layers[i], slot),
                             tied),
               slot_name(slot), tied);
      }
      expect(memory_agrees(own_parameters(layers[j]), own_parameters(layers[i]), false), "adapters",
             false);
    }
  }
}

}  // namespace rondo
