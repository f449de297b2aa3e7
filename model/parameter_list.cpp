#include "model/parameter_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <set>

namespace rondo {
namespace {

/// A linear layer's name and its [out, in] shape.
struct LinearSpec {
  std::string name;
  int64_t out;
  int64_t in;
};

std::vector<LinearSpec> linears_of(const ModelSpec& model, Slot slot) {
  const int64_t queries = model.heads * model.head_dim;
  const int64_t keys = model.kv_heads * model.head_dim;
  switch (slot) {
    case Slot::attention:
      return {{"q_proj", queries, model.hidden},
              {"k_proj", keys, model.hidden},
              {"v_proj", keys, model.hidden},
              {"o_proj", model.hidden, queries}};
    case Slot::feed_forward:
      return {{"gate_proj", model.ffn, model.hidden},
              {"up_proj", model.ffn, model.hidden},
              {"down_proj", model.hidden, model.ffn}};
    case Slot::attention_norm:
    case Slot::feed_forward_norm:
      return {};
  }
  return {};
}

std::vector<ParameterSpec> component_of(const ModelSpec& model, Slot slot, int id) {
  const std::string component = fmt::format("{}/{}", slot_name(slot), id);
  std::vector<ParameterSpec> list;
  for (const LinearSpec& linear : linears_of(model, slot)) {
    list.push_back({component, linear.name + "/weight", {linear.out, linear.in}});
  }
  if (list.empty()) list.push_back({component, "weight", {model.hidden}});
  return list;
}

/// W(layer) = W(component) + B·A with A [r, in], B [out, r]; Relaxed Recursive Transformers,
/// arXiv 2410.20672, section 2.3.
std::vector<ParameterSpec> adapters_of(const ModelSpec& model, int layer, int64_t rank) {
  std::vector<ParameterSpec> list;
  for (Slot slot : {Slot::attention, Slot::feed_forward}) {
    const std::string component = fmt::format("adapters/{}/{}", layer, slot_name(slot));
    for (const LinearSpec& linear : linears_of(model, slot)) {
      const int64_t r = std::min({rank, linear.out, linear.in});
      list.push_back({component, linear.name + "/a", {r, linear.in}});
      list.push_back({component, linear.name + "/b", {linear.out, r}});
    }
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
  std::vector<ParameterSpec> list = {{"embedding", "weight", {model.vocab, model.hidden}}};
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
  list.push_back({"final_norm", "weight", {model.hidden}});
  if (!model.tie_embeddings) list.push_back({"head", "weight", {model.vocab, model.hidden}});
  return list;
}

ParameterCounts count_parameters(const ModelSpec& model, const SharingMap& map,
                                 int64_t relaxation_rank) {
  ParameterCounts counts;
  const int64_t vocabulary = model.vocab * model.hidden * (model.tie_embeddings ? 1 : 2);
  counts.unique = total(parameter_list(model, map, relaxation_rank));
  counts.unique_non_embedding = counts.unique - vocabulary;
  counts.executed = vocabulary + model.hidden;  // + final norm
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
