#include "model/definition/parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <stdexcept>

#include "model/definition/attention_window.h"
#include "model/definition/families.h"

namespace rondo {
namespace {

/// GPT-2 (Radford et al. 2019).
constexpr double deviation = 0.02;

/// The projections that write into the stream start smaller, by the executed depth.
double deviation_into_stream(const ModelSpec& model) {
  return deviation / std::sqrt(2.0 * static_cast<double>(model.depth));
}

std::vector<TensorSpec> norm_tensors(const ModelSpec& model, const std::string& prefix,
                                     int64_t width, bool bias) {
  const BlockParts& parts = block_parts(model);
  std::vector<TensorSpec> list = {
      {prefix + "weight", {width}, Role::gain, {.mean = 1.0 - parts.gain_offset}}};
  if (bias) list.push_back({prefix + "bias", {width}, Role::vector});
  return list;
}

/// The norms of the stream, [hidden].
std::vector<TensorSpec> stream_norm(const ModelSpec& model) {
  return norm_tensors(model, "", model.hidden, block_parts(model).norm == NormKind::layer);
}

/// A linear of a built-in branch.
struct LinearSpec {
  std::string name;
  int64_t out;
  int64_t in;
  bool bias;
  double deviation;
};

std::vector<LinearSpec> linears_of(const ModelSpec& model, Slot slot) {
  const BlockParts& parts = block_parts(model);
  const int64_t queries = model.heads * model.head_dim;
  const int64_t keys = model.kv_heads * model.head_dim;
  const double last = deviation_into_stream(model);
  if (slot == Slot::attention) {
    return {{"q_proj", queries, model.hidden, parts.qkv_bias, deviation},
            {"k_proj", keys, model.hidden, parts.qkv_bias, deviation},
            {"v_proj", keys, model.hidden, parts.qkv_bias, deviation},
            {"o_proj", model.hidden, queries, parts.output_bias, last}};
  }
  const bool bias = parts.feed_forward_bias;
  std::vector<LinearSpec> list;
  if (parts.gated) list.push_back({"gate_proj", model.ffn, model.hidden, bias, deviation});
  list.push_back({"up_proj", model.ffn, model.hidden, bias, deviation});
  list.push_back({"down_proj", model.hidden, model.ffn, bias, last});
  return list;
}

/// Weights before biases: neighbours of a kind lie back to back, and can be used as one.
std::vector<TensorSpec> built_in_tensors(const ModelSpec& model, Slot slot) {
  std::vector<TensorSpec> list;
  const std::vector<LinearSpec> linears = linears_of(model, slot);
  for (const LinearSpec& linear : linears) {
    list.push_back({linear.name + "/weight",
                    {linear.out, linear.in},
                    Role::matrix,
                    {.deviation = linear.deviation}});
  }
  for (const LinearSpec& linear : linears) {
    if (linear.bias) list.push_back({linear.name + "/bias", {linear.out}, Role::vector});
  }
  if (slot == Slot::attention && block_parts(model).query_key_norm) {
    for (const char* name : {"q_norm/", "k_norm/"}) {
      const auto norm = norm_tensors(model, name, model.head_dim, /*bias=*/false);
      list.insert(list.end(), norm.begin(), norm.end());
    }
  }
  return list;
}

const Branch& branch_of(const ModelDefinition& model, Slot slot) {
  const auto found = std::find_if(
      model.branches.begin(), model.branches.end(),
      [&](const Branch& branch) { return branch.norm == slot || branch.weights == slot; });
  if (found != model.branches.end()) return *found;
  throw std::logic_error(
      fmt::format("the sharing map has the slot {}, which no branch uses", slot.name));
}

std::vector<TensorSpec> slot_tensors(const ModelDefinition& model, Slot slot) {
  const Branch& branch = branch_of(model, slot);
  if (slot == branch.norm) return stream_norm(model.spec);
  return branch.tensors.empty() ? built_in_tensors(model.spec, slot) : branch.tensors;
}

/// W(layer) = W(component) + B·A with A [r, in], B [out, r]; Relaxed Recursive Transformers,
/// arXiv 2410.20672, section 2.3. What is no matrix has no low rank to speak of: the layer's own
/// part is a sum of the same length, without which no rank could bring a layer with biases back.
std::vector<TensorSpec> adapter_tensors(const ModelDefinition& model, Slot slot) {
  std::vector<TensorSpec> list;
  std::vector<TensorSpec> sums;
  for (const TensorSpec& tensor : slot_tensors(model, slot)) {
    if (tensor.role != Role::matrix) {
      sums.push_back({tensor.name, tensor.shape, Role::vector});
      continue;
    }
    const std::string module = tensor.name.substr(0, tensor.name.rfind('/'));
    const int64_t out = tensor.shape[0];
    const int64_t in = tensor.shape[1];
    const int64_t r = std::min({model.relaxation_rank, out, in});
    const double start = 1.0 / std::sqrt(static_cast<double>(in));
    list.push_back({module + "/a", {r, in}, Role::matrix, {.deviation = start}});
    list.push_back({module + "/b", {out, r}, Role::matrix});
  }
  list.insert(list.end(), sums.begin(), sums.end());
  return list;
}

std::vector<TensorSpec> tensors_of(const ModelDefinition& model, const Component& component) {
  const ModelSpec& spec = model.spec;
  const auto rows = [&spec](int64_t count) -> std::vector<TensorSpec> {
    return {{"weight", {count, spec.hidden}, Role::embedding, {.deviation = deviation}}};
  };
  switch (component.kind) {
    case Kind::embedding:
      return rows(spec.vocab);
    case Kind::positions:
      return rows(spec.positions);
    case Kind::slot:
      return slot_tensors(model, component.slot);
    case Kind::adapter:
      return adapter_tensors(model, component.slot);
    case Kind::scales:  // the stream starts as that of a model without them
      return {{"branch", {1}, Role::scalar, {.mean = 1.0}},
              {"residual", {1}, Role::scalar, {.mean = 1.0}}};
    case Kind::pass_encoding:  // likewise
      return {{"weight", {spec.hidden}, Role::vector}};
    case Kind::pass_norm:
    case Kind::final_norm:
      return stream_norm(spec);
    case Kind::head:
      return {{"weight", {spec.vocab, spec.hidden}, Role::matrix, {.deviation = deviation}}};
  }
  return {};
}

int64_t total(const std::vector<ParameterSpec>& list) {
  return std::accumulate(list.begin(), list.end(), int64_t{0},
                         [](int64_t sum, const ParameterSpec& p) { return sum + p.count(); });
}

int64_t total(const ModelDefinition& model, const std::vector<Component>& components) {
  int64_t sum = 0;
  for (const Component& component : components) sum += total(parameters_of(model, component));
  return sum;
}

}  // namespace

int64_t ParameterSpec::count() const {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

std::vector<ParameterSpec> parameters_of(const ModelDefinition& model, const Component& component) {
  std::vector<ParameterSpec> list;
  for (const TensorSpec& tensor : tensors_of(model, component)) {
    list.push_back({component, tensor.name, tensor.shape, tensor.role, tensor.start});
  }
  return list;
}

std::vector<ParameterSpec> parameters(const ModelDefinition& model) {
  std::vector<ParameterSpec> list;
  for (const Component& component : components(model)) {
    const std::vector<ParameterSpec> more = parameters_of(model, component);
    list.insert(list.end(), more.begin(), more.end());
  }
  return list;
}

std::map<Component, int64_t> component_elements(const ModelDefinition& model) {
  std::map<Component, int64_t> elements;
  for (const ParameterSpec& parameter : parameters(model)) {
    elements[parameter.component] += parameter.count();
  }
  return elements;
}

ParameterCounts count_parameters(const ModelDefinition& model) {
  const int64_t final_norm = total(model, {{Kind::final_norm}});
  int64_t around = total(model, entrance_components(model)) + final_norm;
  if (!model.spec.tie_embeddings) around += total(model, {{Kind::head}});
  ParameterCounts counts{.unique = total(parameters(model)), .executed = around};
  counts.unique_non_embedding = counts.unique - around + final_norm;
  for (int half = 0; half < half_layers(model); ++half) {
    counts.executed += total(model, components_of(model, half));
  }
  return counts;
}

double flops_per_token(const ModelDefinition& model, int64_t sequence) {
  int64_t matrix_weights = model.spec.vocab * model.spec.hidden;  // the head's product
  // Scores and values: 2 products of S·heads·head_dim multiply-adds a token, half of them masked.
  double attention = 0.0;
  for (int half = 0; half < half_layers(model); ++half) {
    for (const Component& component : components_of(model, half)) {
      if (component.kind == Kind::slot && component.slot == Slot::attention) {
        attention += attended_tokens(model.spec, half_layer(model, half).layer, sequence) *
                     static_cast<double>(model.spec.heads * model.spec.head_dim);
      }
      for (const ParameterSpec& parameter : parameters_of(model, component)) {
        matrix_weights += parameter.role == Role::matrix ? parameter.count() : 0;
      }
    }
  }
  return 6.0 * (static_cast<double>(matrix_weights) + attention);
}

}  // namespace rondo
