// One executed layer: a use of one component per slot, and of its own adapters.
#pragma once

#include <torch/torch.h>

#include <optional>
#include <string>
#include <vector>

#include "model/attention.h"
#include "model/component_store.h"
#include "model/definition/model_definition.h"
#include "model/feed_forward.h"
#include "model/norm.h"

namespace rondo {

/// Consecutive half layers [begin, end): 2ℓ is the attention of layer ℓ with its norm, 2ℓ+1 its
/// feed-forward with its norm.
struct HalfLayers {
  int begin = 0;
  int end = 0;
};

/// Views of the weights that one layer, or half of it, runs with. Layers that share a component
/// hold views of the same memory.
struct Layer {
  struct AttentionHalf {
    Norm norm;
    Attention use;
  };
  struct FeedForwardHalf {
    Norm norm;
    FeedForward use;
  };
  int index = 0;
  std::optional<AttentionHalf> attention = {};
  std::optional<FeedForwardHalf> feed_forward = {};
  bool parallel = false;  ///< both branches read the layer's input: there is no half of it
};

/// The use of the parameters `component`/weight and, in a layer norm, `component`/bias.
Norm make_norm(const ModelSpec& model, const ComponentStore& store, const std::string& component,
               double gradient_weight = 1.0);

/// The layers that `halves` are part of, from components that `store` holds; weight gradients go to
/// `gradients`. Throws std::logic_error for half a parallel layer.
std::vector<Layer> make_layers(const ModelDefinition& model, const ComponentStore& store,
                               HalfLayers halves,
                               const c10::intrusive_ptr<WeightGradients>& gradients);

/// x [batch·sequence, hidden] → the same shape.
torch::Tensor run_layer(const torch::Tensor& x, const Layer& layer, const LayerContext& context);

/// Two of the layers share memory in a slot, tensor by tensor, exactly when the map gives them one
/// component; adapters are always the layer's own. Throws std::logic_error that names the slot and
/// both layers: lost ties are the most common fault of shared-layer training.
void check_ties(const std::vector<Layer>& layers, const SharingMap& map);

}  // namespace rondo
