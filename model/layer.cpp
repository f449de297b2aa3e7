#include "model/layer.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace rondo {
namespace {

/// Builds the uses of one layer.
class LayerBuilder {
 public:
  LayerBuilder(const ModelDefinition& model, const ComponentStore& store, int index,
               c10::intrusive_ptr<WeightGradients> gradients)
      : model_(model), store_(store), index_(index), gradients_(std::move(gradients)) {}

  Layer::AttentionHalf attention() const {
    const BlockParts& parts = block_parts(model_.spec);
    const auto slot = Slot::attention;
    return {.norm = norm(Slot::attention_norm),
            .use = {.qkv = stacked(slot, {"q_proj", "k_proj", "v_proj"}, parts.qkv_bias),
                    .output = stacked(slot, {"o_proj"}, parts.output_bias),
                    .query_norm = head_norm("q_norm"),
                    .key_norm = head_norm("k_norm")}};
  }

  Layer::FeedForwardHalf feed_forward() const {
    const BlockParts& parts = block_parts(model_.spec);
    const auto slot = Slot::feed_forward;
    std::vector<std::string> up = {"up_proj"};
    if (parts.gated) up.insert(up.begin(), "gate_proj");
    return {.norm = norm(Slot::feed_forward_norm),
            .use = {.up = stacked(slot, up, parts.feed_forward_bias),
                    .down = stacked(slot, {"down_proj"}, parts.feed_forward_bias),
                    .activation = parts.activation,
                    .gated = parts.gated}};
  }

 private:
  Norm norm(Slot slot) const {
    return make_norm(model_.spec, store_, component(slot), gradient_weight(slot));
  }

  /// The norm of each head of `name`, "q_norm" or "k_norm".
  std::optional<Norm> head_norm(const std::string& name) const {
    const Slot slot = Slot::attention;
    if (!block_parts(model_.spec).query_key_norm) return std::nullopt;
    Norm norm = make_norm(model_.spec, store_, component(slot) + "/" + name, gradient_weight(slot));
    norm.gain = vector(slot, {name}, "weight");
    return norm;
  }

  /// The named linears of the slot's component as one use.
  Linear stacked(Slot slot, const std::vector<std::string>& names, bool bias) const {
    Linear use{.weight = stacked(component(slot), names, "weight"),
               .gradients = gradients_,
               .gradient_weight = gradient_weight(slot)};
    if (bias) use.bias = vector(slot, names, "bias");
    int64_t row = 0;
    for (const std::string& name : names) {
      if (!relaxed()) break;
      use.adapters.push_back(adapter(slot, name, row));
      row += use.adapters.back().b.value.size(0);
    }
    return use;
  }

  /// The vector `tensor` of the named modules of the slot's component, one behind the other.
  LayerVector vector(Slot slot, const std::vector<std::string>& names,
                     const std::string& tensor) const {
    LayerVector use{.shared = stacked(component(slot), names, tensor)};
    if (relaxed()) use.own = stacked(adapters(slot), names, tensor);
    return use;
  }

  Parameter stacked(const std::string& component, const std::vector<std::string>& names,
                    const std::string& tensor) const {
    std::vector<std::string> paths;
    for (const std::string& name : names) {
      paths.push_back(fmt::format("{}/{}/{}", component, name, tensor));
    }
    return store_.stacked(paths);
  }

  std::string component(Slot slot) const {
    return fmt::format("{}/{}", slot_name(slot), model_.sharing.id(slot, index_));
  }

  double gradient_weight(Slot slot) const {
    return gradient_weights(model_.sharing.of(slot), model_.gradient)[static_cast<size_t>(index_)];
  }

  bool relaxed() const { return model_.relaxation_rank > 0; }

  /// The layer's own component beside the slot's.
  std::string adapters(Slot slot) const {
    const int own = model_.layers.empty() ? index_ : model_.layers[static_cast<size_t>(index_)];
    return fmt::format("adapters/{}/{}", own, slot_name(slot));
  }

  Adapter adapter(Slot slot, const std::string& name, int64_t row) const {
    const std::string path = fmt::format("{}/{}", adapters(slot), name);
    return {store_.at(path + "/a"), store_.at(path + "/b"), row};
  }

  const ModelDefinition& model_;
  const ComponentStore& store_;
  int index_;
  c10::intrusive_ptr<WeightGradients> gradients_;
};

void append(std::vector<Parameter>& list, const Linear& use) {
  list.push_back(use.weight);
  if (use.bias) list.push_back(use.bias->shared);
}

void append(std::vector<Parameter>& list, const Norm& use) {
  list.push_back(use.gain.shared);
  if (use.bias) list.push_back(*use.bias);
}

/// What the layer uses of the slot's component; empty where it has no such half.
std::vector<Parameter> shared_parameters(const Layer& layer, Slot slot) {
  std::vector<Parameter> list;
  if (slot == Slot::attention && layer.attention) {
    const Attention& use = layer.attention->use;
    append(list, use.qkv);
    append(list, use.output);
    if (use.query_norm) append(list, *use.query_norm);
    if (use.key_norm) append(list, *use.key_norm);
  }
  if (slot == Slot::feed_forward && layer.feed_forward) {
    append(list, layer.feed_forward->use.up);
    append(list, layer.feed_forward->use.down);
  }
  if (slot == Slot::attention_norm && layer.attention) append(list, layer.attention->norm);
  if (slot == Slot::feed_forward_norm && layer.feed_forward) append(list, layer.feed_forward->norm);
  return list;
}

std::vector<Parameter> own_parameters(const Layer& layer) {
  std::vector<Parameter> list;
  const auto append_vector = [&list](const LayerVector& use) {
    if (use.own) list.push_back(*use.own);
  };
  const auto append_adapters = [&](const Linear& use) {
    for (const Adapter& adapter : use.adapters) {
      list.push_back(adapter.a);
      list.push_back(adapter.b);
    }
    if (use.bias) append_vector(*use.bias);
  };
  if (layer.attention) {
    const Attention& use = layer.attention->use;
    append_adapters(use.qkv);
    append_adapters(use.output);
    if (use.query_norm) append_vector(use.query_norm->gain);
    if (use.key_norm) append_vector(use.key_norm->gain);
  }
  if (layer.feed_forward) {
    append_adapters(layer.feed_forward->use.up);
    append_adapters(layer.feed_forward->use.down);
  }
  return list;
}

/// Whether two lists are, value and gradient, the same memory throughout, or nowhere. One is empty
/// where its layer has no such half.
bool memory_agrees(const std::vector<Parameter>& a, const std::vector<Parameter>& b, bool tied) {
  for (size_t k = 0; k < std::min(a.size(), b.size()); ++k) {
    if (tied != (a[k].value.data_ptr() == b[k].value.data_ptr())) return false;
    if (tied != (a[k].gradient.data_ptr() == b[k].gradient.data_ptr())) return false;
  }
  return true;
}

}  // namespace

Norm make_norm(const ModelSpec& model, const ComponentStore& store, const std::string& component,
               double gradient_weight) {
  const BlockParts& parts = block_parts(model);
  Norm norm{.gain = {store.at(component + "/weight")},
            .kind = parts.norm,
            .gain_offset = parts.gain_offset,
            .eps = model.norm_eps,
            .gradient_weight = gradient_weight};
  if (parts.norm == NormKind::layer) norm.bias = store.at(component + "/bias");
  return norm;
}

std::vector<Layer> make_layers(const ModelDefinition& model, const ComponentStore& store,
                               HalfLayers halves,
                               const c10::intrusive_ptr<WeightGradients>& gradients) {
  const bool parallel = block_parts(model.spec).parallel_residual;
  if (parallel && (halves.begin % 2 != 0 || halves.end % 2 != 0)) {
    throw std::logic_error("a layer with a parallel residual cannot be cut in two");
  }
  std::vector<Layer> layers;
  for (int half = halves.begin; half < halves.end; ++half) {
    const int index = half / 2;
    if (layers.empty() || layers.back().index != index) {
      layers.push_back({.index = index, .parallel = parallel});
    }
    const LayerBuilder build(model, store, index, gradients);
    if (half % 2 == 0) {
      layers.back().attention = build.attention();
    } else {
      layers.back().feed_forward = build.feed_forward();
    }
  }
  return layers;
}

torch::Tensor run_layer(const torch::Tensor& x, const Layer& layer, const LayerContext& context) {
  torch::Tensor mixed = x;
  if (layer.attention) {
    const auto& [norm, use] = *layer.attention;
    mixed = attend(normalise(x, norm), x, use, context);
  }
  if (!layer.feed_forward) return mixed;
  const auto& [norm, use] = *layer.feed_forward;
  return feed_forward(normalise(layer.parallel ? x : mixed, norm), mixed, use);
}

void check_ties(const std::vector<Layer>& layers, const SharingMap& map) {
  const auto expect = [](bool agrees, const Layer& a, const Layer& b, std::string_view what,
                         bool tied) {
    if (agrees) return;
    throw std::logic_error(fmt::format("{} of layers {} and {} should {}share memory", what,
                                       a.index, b.index, tied ? "" : "not "));
  };
  for (size_t i = 0; i < layers.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      const Layer& a = layers[j];
      const Layer& b = layers[i];
      for (Slot slot : all_slots) {
        const bool tied = map.id(slot, a.index) == map.id(slot, b.index);
        expect(memory_agrees(shared_parameters(a, slot), shared_parameters(b, slot), tied), a, b,
               slot_name(slot), tied);
      }
      expect(memory_agrees(own_parameters(a), own_parameters(b), false), a, b, "adapters", false);
    }
  }
}

}  // namespace rondo
