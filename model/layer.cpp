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
    return make_norm(model_.spec, store_, component(slot), gradient_weight(slot));
  }

  /// The norm of each head of `name`, "q_norm" or "k_norm".
  std::optional<Norm> head_norm(const std::string& name) const {
    const std::string path = component(Slot::attention) + "/" + name;
    if (!block_parts(model_.spec).query_key_norm) return std::nullopt;
    return make_norm(model_.spec, store_, path, gradient_weight(Slot::attention));
  }

  /// The named linears of the slot's component as one use.
  Linear stacked(Slot slot, const std::vector<std::string>& names, bool bias) const {
    const auto paths = [&](const std::string& tensor) {
      std::vector<std::string> list;
      for (const std::string& name : names) {
        list.push_back(fmt::format("{}/{}/{}", component(slot), name, tensor));
      }
      return list;
    };
    Linear use{.weight = store_.stacked(paths("weight")), .gradient_weight = gradient_weight(slot)};
    if (bias) use.bias = store_.stacked(paths("bias"));
    int64_t row = 0;
    for (const std::string& name : names) {
      if (model_.relaxation_rank == 0) break;
      use.adapters.push_back(adapter(slot, name, row));
      row += use.adapters.back().b.value.size(0);
    }
    return use;
  }

 private:
  std::string component(Slot slot) const {
    return fmt::format("{}/{}", slot_name(slot), model_.sharing.id(slot, index_));
  }

  double gradient_weight(Slot slot) const {
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

Norm make_norm(const ModelSpec& model, const ComponentStore& store, const std::string& component,
               double gradient_weight) {
  const BlockParts& parts = block_parts(model);
  Norm norm{.gain = store.at(component + "/weight"),
            .kind = parts.norm,
            .gain_offset = parts.gain_offset,
            .eps = model.norm_eps,
            .gradient_weight = gradient_weight};
  if (parts.norm == NormKind::layer) norm.bias = store.at(component + "/bias");
  return norm;
}

Layer make_layer(const ModelDefinition& model, const ComponentStore& store, int index) {
  const LayerBuilder build(model, store, index);
  const BlockParts& parts = block_parts(model.spec);
  const std::vector<std::string> up = parts.gated ? std::vector<std::string>{"gate_proj", "up_proj"}
                                                  : std::vector<std::string>{"up_proj"};
  const auto mix = Slot::attention;
  const auto feed = Slot::feed_forward;
  return {.attention_norm = build.norm(Slot::attention_norm),
          .attention = {.qkv = build.stacked(mix, {"q_proj", "k_proj", "v_proj"}, parts.qkv_bias),
                        .output = build.stacked(mix, {"o_proj"}, parts.output_bias),
                        .query_norm = build.head_norm("q_norm"),
                        .key_norm = build.head_norm("k_norm")},
          .feed_forward_norm = build.norm(Slot::feed_forward_norm),
          .feed_forward = {.up = build.stacked(feed, up, parts.feed_forward_bias),
                           .down = build.stacked(feed, {"down_proj"}, parts.feed_forward_bias),
                           .activation = parts.activation,
                           .gated = parts.gated},
          .parallel = parts.parallel_residual};
}

torch::Tensor run_layer(const torch::Tensor& x, const Layer& layer, const ModelSpec& spec,
                        const RotaryTable& table) {
  const torch::Tensor mixed =
      attend(normalise(x, layer.attention_norm), x, layer.attention, spec, table);
  const torch::Tensor& read = layer.parallel ? x : mixed;
  return feed_forward(normalise(read, layer.feed_forward_norm), mixed, layer.feed_forward);
}

}  // namespace rondo
