#include "model/stage.h"

#include <cmath>

#include "model/definition/families.h"

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

}  // namespace

Stage::Stage(const ModelDefinition& model, const ComponentStore& store, const StageOptions& options)
    : model_(model),
      options_(options),
      table_(model.spec, options.sequence,
             torch::dtype(store.precision().compute).device(store.device())),
      gradients_(c10::make_intrusive<WeightGradients>()),
      layers_(make_layers(model, store, options.halves, gradients_)) {
  const BlockParts& parts = block_parts(model.spec);
  if (options.first) {
    embedding_ = Embedding{.tokens = store.at("embedding/weight")};
    if (parts.scaled_embedding) {
      embedding_->scale = std::sqrt(static_cast<double>(model.spec.hidden));
    }
    if (!parts.rotary) embedding_->positions = store.at("positions/weight");
  }
  if (options_.last) {
    final_norm_ = make_norm(model.spec, store, "final_norm");
    head_ = store.at(model.spec.tie_embeddings ? "embedding/weight" : "head/weight");
  }
}

Tensor Stage::start(const Microbatch& batch, const Tensor& x) const {
  return options_.first ? embed(batch.inputs, options_.sequence, *embedding_) : x;
}

Tensor Stage::forward(const Microbatch& batch, const Tensor& x, double gradient_scale,
                      Tape& tape) const {
  tape = {};
  tape.batch = batch;
  Tensor stream = start(batch, x);  // [batch·sequence, hidden]
  for (const Layer& layer : layers_) {
    tape.inputs.push_back(leaf(stream));
    const torch::AutoGradMode mode(!options_.recompute);
    const Tensor output = run_layer(tape.inputs.back(), layer, context());
    tape.outputs.push_back(options_.recompute ? Tensor() : output);
    stream = output.detach();
  }
  if (!options_.last) return stream;
  tape.norm_input = leaf(stream);
  tape.norm_output = normalise(tape.norm_input, *final_norm_);
  HeadTargets targets{.tokens = batch.targets};
  if (options_.teach) targets.soft = options_.teach(batch);
  const HeadResult head = head_loss(tape.norm_output.detach(), *head_, targets, gradient_scale);
  tape.head_gradient = head.gradient_x;
  return head.losses;
}

Tensor Stage::backward(const Tensor& gradient, Tape& tape) const {
  Tensor g =
      options_.last ? pull_back(tape.norm_input, tape.norm_output, tape.head_gradient) : gradient;
  for (size_t i = layers_.size(); i-- > 0;) {
    Tensor output = tape.outputs[i];
    if (options_.recompute) {
      output = run_layer(tape.inputs[i], layers_[i], context());
    }
    g = pull_back(tape.inputs[i], output, g);
    tape.inputs.pop_back();
    tape.outputs.pop_back();
  }
  const Microbatch batch = tape.batch;
  tape = {};
  if (!options_.first) return g;
  embed_backward(batch.inputs, options_.sequence, g, *embedding_);
  return {};
}

Tensor Stage::backward_input(const Tensor& gradient, Tape& tape) const {
  gradients_->defer();
  const Tensor g = backward(gradient, tape);
  tape.waiting = gradients_->take();
  return g;
}

void Stage::backward_weight(Tape& tape) {
  const torch::NoGradGuard no_grad;
  for (const auto& work : tape.waiting) work();
  tape = {};
}

Tensor Stage::evaluate(const Microbatch& batch, const Tensor& x) const {
  const Tensor result = features(batch, x);
  if (!options_.last) return result;
  return head_loss(result, *head_, {.tokens = batch.targets}, 0.0).losses;
}

Tensor Stage::features(const Microbatch& batch, const Tensor& x) const {
  const torch::NoGradGuard no_grad;
  Tensor stream = start(batch, x);
  for (const Layer& layer : layers_) stream = run_layer(stream, layer, context());
  return options_.last ? normalise(stream, *final_norm_) : stream;
}

Tensor Stage::next_features(const Tensor& tokens, const Tensor& x, SequenceMemory& memory) const {
  const torch::NoGradGuard no_grad;
  const int64_t count = options_.first ? tokens.size(0) : x.size(0);
  const RotaryTable table = table_.positions(memory.positions, count);
  Tensor stream = options_.first ? embed(tokens, count, *embedding_, memory.positions) : x;
  for (size_t i = 0; i < layers_.size(); ++i) {
    stream = run_layer(stream, layers_[i], {model_.spec, table, &memory.layers[i]});
  }
  memory.positions += count;
  return options_.last ? normalise(stream, *final_norm_) : stream;
}

SequenceMemory Stage::empty_memory() const {
  SequenceMemory memory;
  const ModelSpec& spec = model_.spec;
  for (size_t i = 0; i < layers_.size(); ++i) {
    const auto make = [&] {
      return torch::empty({1, spec.kv_heads, options_.sequence, spec.head_dim},
                          table_.cosine.options());
    };
    memory.layers.push_back({.keys = make(), .values = make()});
  }
  return memory;
}

}  // namespace rondo
