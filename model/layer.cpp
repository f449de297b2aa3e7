#include "model/layer.h"

#include <fmt/format.h>

namespace rondo {
namespace {

/// Builds the uses of one layer.
class LayerBuilder {
 public:
  LayerBuilder(const ModelDefinition& model, const ComponentStore& store, int index)
      : model_(model), store_(store), index_(index) {}

  Norm norm(Slot slot) const {
    return {store_.at(component(slot) + "/weight"), model_.spec.norm_eps, weight(slot)};
  }

  /// The named linears of the slot's component as one use.
  Linear stacked(Slot slot, const std::vector<std::string>& names) const {
    std::vector<std::string> paths;
    for (const std::string& name : names) {
      paths.push_back(fmt::format("{}/{}/weight", component(slot), name));
    }
    Linear use{store_.stacked(paths), {}, weight(slot)};
    int64_t row = 0;
    for (size_t i = 0; i < names.size(); ++i) {
      if (model_.relaxation_rank > 0) use.adapters.push_back(adapter(slot, names[i], row));
      row += store_.at(paths[i]).value.size(0);
    }
    return use;
  }

 private:
  std::string component(Slot slot) const {
    return fmt::format("{}/{}", slot_name(slot), model_.sharing.id(slot, index_));
  }

  double weight(Slot slot) const {
    return gradient_weights(model_.sharing.of(slot), model_.gradient)[static_cast<size_t>(index_)];
  }

  Adapter adapter(Slot slot, const std::string& name, int64_t row) const {
    const std::string path = fmt::format("adapters/{}/{}/{}", index_, slot_name(slot), name);
    return {store_.at(path + "/a"), store_.at(path + "/b"), row};
  }

  const ModelDefinition& model_;
  const ComponentStore& store_;
  int index_;
};

}  // namespace

Layer make_layer(const ModelDefinition& model, const ComponentStore& store, int index) {
  const LayerBuilder build(model, store, index);
  return {.attention_norm = build.norm(Slot::attention_norm),
          .attention = {.qkv = build.stacked(Slot::attention, {"q_proj", "k_proj", "v_proj"}),
                        .output = build.stacked(Slot::attention, {"o_proj"})},
          .feed_forward_norm = build.norm(Slot::feed_forward_norm),
          .feed_forward = {.gate_up = build.stacked(Slot::feed_forward, {"gate_proj", "up_proj"}),
                           .down = build.stacked(Slot::feed_forward, {"down_proj"})}};
}

torch::Tensor run_layer(const torch::Tensor& x, const Layer& layer, const ModelSpec& spec,
                        const RotaryTable& table) {
  const torch::Tensor mixed =
      attend(rms_norm(x, layer.attention_norm), x, layer.attention, spec, table);
  return feed_forward(rms_norm(mixed, layer.feed_forward_norm), mixed, layer.feed_forward);
}

}  // namespace rondo
