#include "model/stage.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/full_like.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <utility>

#include "model/definition/families.h"

namespace rondo {
namespace {

using at::Tensor;

Tensor leaf(const Tensor& x) { return x.detach().requires_grad_(true); }

template <typename Each>
Stream each(const Stream& stream, Each make) {
  Stream made{.x = make(stream.x)};
  for (const Tensor& tensor : stream.carried) made.carried.push_back(make(tensor));
  return made;
}

Stream detached(const Stream& stream) {
  return each(stream, [](const Tensor& t) { return t.detach(); });
}

/// Returns and clears the gradient of a leaf.
Tensor take_gradient(const Tensor& input) {
  Tensor gradient = input.grad();
  input.mutable_grad().reset();
  return gradient;
}

std::vector<Tensor> values_of(const LossTerms& terms) {
  std::vector<Tensor> values;
  for (const LossTerm& term : terms) values.push_back(term.value);
  return values;
}

LossSums sums_of(const LossTerms& terms) {
  LossSums sums;
  for (const auto& [name, value] : terms) {
    add(sums, {{name, value.detach().to(at::kDouble)}});
  }
  return sums;
}

LossSums sums_of(const HeadResult& head, bool taught) {
  LossSums sums = {{cross_entropy, head.losses[0]}};
  if (taught) sums[divergence] = head.losses[1];
  return sums;
}

}  // namespace

Stage::Stage(const ModelDefinition& model, const ComponentStore& store, const StageOptions& options)
    : model_(model),
      options_(options),
      table_(model.spec, options.sequence,
             at::dtype(store.precision().compute).device(store.device())),
      masks_(model.spec.window, 0, options.sequence, store.device()),
      gradients_(c10::make_intrusive<DeferredGradients>()),
      halves_(make_halves(model_, store, options.halves, options.builders, gradients_)) {
  for (size_t i = 0; i < halves_.size(); ++i) {
    const bool new_layer = i == 0 || halves_[i].place.branch <= halves_[i - 1].place.branch;
    if (new_layer) layers_.push_back({i, i});
    ++layers_.back().end;
  }
  const BlockParts& parts = block_parts(model.spec);
  if (options.embeds) {
    embedding_ = Embedding{.tokens = store.at({Kind::embedding}, "weight")};
    if (parts.scaled_embedding) {
      embedding_->scale = std::sqrt(static_cast<double>(model.spec.hidden));
    }
    if (!parts.rotary) embedding_->positions = store.at({Kind::positions}, "weight");
  }
  if (options_.ends_with_head) {
    final_norm_ = make_final_norm(model.spec, store);
    const Kind head = model.spec.tie_embeddings ? Kind::embedding : Kind::head;
    head_ = store.at({head}, "weight");
  }
}

Stream Stage::start(const Microbatch& batch, const Stream& stream) const {
  if (!options_.embeds) return stream;
  return {.x = embed(batch.inputs, options_.sequence, *embedding_)};
}

Stream Stage::run(Run part, const Stream& stream, LossTerms& losses) const {
  const HalfContext context{{.model = model_.spec, .table = table_, .masks = masks_}, losses};
  Stream after = stream;
  for (size_t i = part.begin; i < part.end; ++i) after = halves_[i].run(after, context);
  return after;
}

StageResult Stage::forward(const Microbatch& batch, const Stream& stream, double gradient_scale,
                           Tape& tape) const {
  tape = {};
  tape.batch = batch;
  tape.gradient_scale = gradient_scale;
  StageResult result{.stream = start(batch, stream)};
  for (const Run layer : layers_) {
    Segment segment{.input = each(result.stream, leaf)};
    LossTerms losses;
    const at::AutoGradMode mode(!options_.recompute);
    const Stream output = run(layer, segment.input, losses);
    if (!options_.recompute) {
      segment.output = output;
      segment.losses = values_of(losses);
    }
    tape.segments.push_back(std::move(segment));
    add(result.losses, sums_of(losses));
    result.stream = detached(output);
  }
  if (!options_.ends_with_head) return result;
  tape.norm_input = leaf(result.stream.x);
  tape.norm_output = normalise(tape.norm_input, *final_norm_);
  HeadTargets targets{.tokens = batch.targets};
  if (options_.teach) targets.soft = options_.teach(batch);
  const HeadResult head = head_loss(tape.norm_output.detach(), *head_, targets, gradient_scale);
  tape.head_gradient = head.gradient_x;
  add(result.losses, sums_of(head, targets.soft.has_value()));
  result.stream = {};
  return result;
}

/// Runs autograd through the halves of one layer, which is run again where nothing of it was kept.
Stream Stage::pull_back(Segment segment, Run part, const Stream& gradient,
                        double gradient_scale) const {
  if (options_.recompute) {
    LossTerms losses;
    segment.output = run(part, segment.input, losses);
    segment.losses = values_of(losses);
  }
  std::vector<Tensor> roots = segment.output.tensors();
  std::vector<Tensor> gradients = gradient.tensors();
  for (const Tensor& loss : segment.losses) {
    roots.push_back(loss);
    gradients.push_back(at::full_like(loss, gradient_scale));
  }
  torch::autograd::backward(roots, gradients);
  return each(segment.input, take_gradient);
}

Stream Stage::backward(const Stream& gradient, Tape& tape) const {
  Stream g = gradient;
  if (options_.ends_with_head) {
    torch::autograd::backward({tape.norm_output}, {tape.head_gradient});
    g = {.x = take_gradient(tape.norm_input)};
  }
  for (size_t i = layers_.size(); i-- > 0;) {
    Segment segment = std::move(tape.segments.back());
    tape.segments.pop_back();
    g = pull_back(std::move(segment), layers_[i], g, tape.gradient_scale);
  }
  const Microbatch batch = tape.batch;
  tape = {};
  if (!options_.embeds) return g;
  embed_backward(batch.inputs, options_.sequence, g.x, *embedding_);
  return {};
}

Stream Stage::backward_input(const Stream& gradient, Tape& tape) const {
  gradients_->defer();
  Stream g = backward(gradient, tape);
  tape.waiting = gradients_->take();
  return g;
}

void Stage::backward_weight(Tape& tape) {
  const at::NoGradGuard no_grad;
  for (const auto& work : tape.waiting) work();
  tape = {};
}

Stream Stage::run_without_gradients(const Stream& stream, LossTerms& losses) const {
  const at::NoGradGuard no_grad;
  return run({0, halves_.size()}, stream, losses);
}

StageResult Stage::evaluate(const Microbatch& batch, const Stream& stream) const {
  const at::NoGradGuard no_grad;
  LossTerms terms;
  StageResult result{.stream = run_without_gradients(start(batch, stream), terms)};
  result.losses = sums_of(terms);
  if (!options_.ends_with_head) return result;
  const Tensor features = normalise(result.stream.x, *final_norm_);
  const HeadResult head = head_loss(features, *head_, {.tokens = batch.targets}, 0.0);
  add(result.losses, sums_of(head, /*taught=*/false));
  result.stream = {};
  return result;
}

double Stage::loss_of(const Tensor& x, const Tensor& targets) const {
  const at::NoGradGuard no_grad;
  const Tensor features = normalise(x.to(head_->value.scalar_type()), *final_norm_);
  return head_loss(features, *head_, {.tokens = targets}, 0.0).losses[0].item<double>();
}

Tensor Stage::features(const Microbatch& batch) const {
  const at::NoGradGuard no_grad;
  LossTerms losses;
  return normalise(run_without_gradients(start(batch, {}), losses).x, *final_norm_);
}

Tensor Stage::next_features(const Tensor& tokens, SequenceMemory& memory) const {
  const at::NoGradGuard no_grad;
  const int64_t count = tokens.size(0);
  const RotaryTable table = table_.positions(memory.positions, count);
  const AttentionMasks masks(model_.spec.window, memory.positions, count, table.cosine.device());
  LossTerms losses;
  Stream stream{.x = embed(tokens, count, *embedding_, memory.positions)};
  for (size_t i = 0; i < halves_.size(); ++i) {
    stream = halves_[i].run(stream, {{model_.spec, table, masks, &memory.halves[i]}, losses});
  }
  memory.positions += count;
  return normalise(stream.x, *final_norm_);
}

SequenceMemory Stage::empty_memory() const {
  SequenceMemory memory;
  memory.halves.assign(halves_.size(), {.capacity = options_.sequence});
  return memory;
}

}  // namespace rondo
