#include "model/definition/parameter_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <set>

#include "model/definition/families.h"

namespace rondo {
namespace {

/// A linear layer's name and its [out, in] shape.
struct LinearSpec {
  std::string name;
  int64_t out;
  int64_t in;
  bool bias;
};

std::vector<LinearSpec> linears_of(const ModelSpec& model, Slot slot) {
  const BlockParts& parts = block_parts(model);
  const int64_t queries = model.heads * model.head_dim;
  const int64_t keys = model.kv_heads * model.head_dim;
  std::vector<LinearSpec> list;
  if (slot == Slot::attention) {
    list = {{"q_proj", queries, model.hidden, parts.qkv_bias},
            {"k_proj", keys, model.hidden, parts.qkv_bias},
            {"v_proj", keys, model.hidden, parts.qkv_bias},
            {"o_proj", model.hidden, queries, parts.output_bias}};
  } else if (slot == Slot::feed_forward) {
    const bool bias = parts.feed_forward_bias;
    if (parts.gated) list.push_back({"gate_proj", model.ffn, model.hidden, bias});
    list.push_back({"up_proj", model.ffn, model.hidden, bias});
    list.push_back({"down_proj", model.hidden, model.ffn, bias});
  }
  return list;
}

std::vector<ParameterSpec> norm_of(const ModelSpec& model, const std::string& component) {
  std::vector<ParameterSpec> list = {{component, "weight", {model.hidden}}};
  if (block_parts(model).norm == NormKind::layer) {
    list.push_back({component, "bias", {model.hidden}});
  }
  return list;
}

/// The biases and inner norms of `component`, which is a slot's or belongs to one.
void append_vectors(std::vector<ParameterSpec>& list, const ModelSpec& model, Slot slot,
                    const std::string& component) {
  for (const LinearSpec& linear : linears_of(model, slot)) {
    if (linear.bias) list.push_back({component, linear.name + "/bias", {linear.out}});
  }
  if (slot == Slot::attention && block_parts(model).query_key_norm) {
    list.push_back({component, "q_norm/weight", {model.head_dim}});
    list.push_back({component, "k_norm/weight", {model.head_dim}});
  }
}

/// Weights before biases: neighbours of a kind lie back to back, and can be used as one.
std::vector<ParameterSpec> component_of(const ModelSpec& model, Slot slot, int id) {
  const std::string component = fmt::format("{}/{}", slot_name(slot), id);
  const std::vector<LinearSpec> linears = linears_of(model, slot);
  if (linears.empty()) return norm_of(model, component);
  std::vector<ParameterSpec> list;
  for (const LinearSpec& linear : linears) {
    list.push_back({component, linear.name + "/weight", {linear.out, linear.in}});
  }
  append_vectors(list, model, slot, component);
  return list;
}

/// What stands in front of the layers, and behind them.
std::vector<ParameterSpec> entrance_of(const ModelSpec& model) {
  std::vector<ParameterSpec> list = {{"embedding", "weight", {model.vocab, model.hidden}}};
  if (!block_parts(model).rotary) {
    list.push_back({"positions", "weight", {model.positions, model.hidden}});
  }
  return list;
}

std::vector<ParameterSpec> exit_of(const ModelSpec& model) {
  std::vector<ParameterSpec> list = norm_of(model, "final_norm");
  if (!model.tie_embeddings) list.push_back({"head", "weight", {model.vocab, model.hidden}});
  return list;
}

/// W(layer) = W(component) + B·A with A [r, in], B [out, r]; Relaxed Recursive Transformers,
/// arXiv 2410.20672, section 2.3. Biases and inner norms are vectors, whose own part is a sum of
/// the same length: without it a layer with biases could not be brought back at any rank.
std::vector<ParameterSpec> adapters_of(const ModelSpec& model, int layer, int64_t rank) {
  std::vector<ParameterSpec> list;
  for (Slot slot : {Slot::attention, Slot::feed_forward}) {
    const std::string component = fmt::format("adapters/{}/{}", layer, slot_name(slot));
    for (const LinearSpec& linear : linears_of(model, slot)) {
      const int64_t r = std::min({rank, linear.out, linear.in});
      list.push_back({component, linear.name + "/a", {r, linear.in}});
      list.push_back({component, linear.name + "/b", {linear.out, r}});
    }
    append_vectors(list, model, slot, component);
  }
  return list;
}

int64_t total(const std::vector<ParameterSpec>& list) {
  return std::accumulate(list.begin(), list.end(), int64_t{0},
                         [](int64_t sum, const ParameterSpec& p) { return sum + p.count(); });
}

}  // namespace

int64_t ParameterSpec::count() const {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

std::vector<ParameterSpec> parameter_list(const ModelSpec& model, const SharingMap& map,
                                          int64_t relaxation_rank) {
  std::vector<ParameterSpec> list = entrance_of(model);
  const auto append = [&list](const std::vector<ParameterSpec>& more) {
    list.insert(list.end(), more.begin(), more.end());
  };
  for (Slot slot : all_slots) {
    const std::set<int> ids(map.of(slot).begin(), map.of(slot).end());
    for (int id : ids) append(component_of(model, slot, id));
  }
  for (int layer = 0; relaxation_rank > 0 && layer < map.depth(); ++layer) {
    append(adapters_of(model, layer, relaxation_rank));
  }
  append(exit_of(model));
  return list;
}

ParameterCounts count_parameters(const ModelSpec& model, const SharingMap& map,
                                 int64_t relaxation_rank) {
  ParameterCounts counts;
  const int64_t around = total(entrance_of(model)) + total(exit_of(model));
  counts.unique = total(parameter_list(model, map, relaxation_rank));
  counts.unique_non_embedding = counts.unique - around + total(norm_of(model, "final_norm"));
  counts.executed = around;
  for (int layer = 0; layer < map.depth(); ++layer) {
    for (Slot slot : all_slots) {
      counts.executed += total(component_of(model, slot, map.id(slot, layer)));
    }
    if (relaxation_rank > 0) counts.executed += total(adapters_of(model, layer, relaxation_rank));
  }
  return counts;
}

double flops_per_token(const ModelSpec& model, const SharingMap& map, int64_t relaxation_rank,
                       int64_t sequence) {
  int64_t matrix_weights = model.vocab * model.hidden;  // the head's product
  for (int layer = 0; layer < map.depth(); ++layer) {
    for (Slot slot : {Slot::attention, Slot::feed_forward}) {
      for (const LinearSpec& linear : linears_of(model, slot)) {
        const int64_t r = std::min({relaxation_rank, linear.out, linear.in});
        matrix_weights += linear.out * linear.in + r * (linear.out + linear.in);
      }
    }
  }
  // Scores and values: 2 products of S·heads·head_dim multiply-adds a token, half of them masked.
  const double attention =
      static_cast<double>(map.depth() * sequence * model.heads * model.head_dim);
  return 6.0 * (static_cast<double>(matrix_weights) + attention);
}

}  // namespace rondo
