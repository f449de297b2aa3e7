// One executed layer: a use of one component per slot, and of its own adapters.
#pragma once

#include <torch/torch.h>

#include "model/attention.h"
#include "model/component_store.h"
#include "model/feed_forward.h"
#include "model/model_definition.h"
#include "model/norm.h"

namespace rondo {

/// Views of the weights that one layer runs with. Layers that share a component hold views of the
/// same memory.
struct Layer {
  Norm attention_norm;
  Attention attention;
  Norm feed_forward_norm;
  FeedForward feed_forward;
  bool parallel = false;  ///< both branches read the layer's input
};

/// The use of the parameters `component`/weight and, in a layer norm, `component`/bias.
Norm make_norm(const ModelSpec& model, const ComponentStore& store, const std::string& component,
               double gradient_weight = 1.0);

/// Layer `index` of the model, from components that `store` holds.
Layer make_layer(const ModelDefinition& model, const ComponentStore& store, int index);

/// x [batch·sequence, hidden] → the same shape.
torch::Tensor run_layer(const torch::Tensor& x, const Layer& layer, const ModelSpec& spec,
                        const RotaryTable& table);

}  // namespace rondo
