// One residual branch of one executed layer: the unit of computation. A stage is a list of them.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "model/component_store.h"
#include "model/definition/model_definition.h"
#include "model/operations/attention.h"
#include "model/operations/deferred_gradients.h"
#include "model/operations/graph_parameter.h"
#include "model/operations/join.h"
#include "model/operations/linear.h"
#include "model/operations/norm.h"
#include "model/stream.h"

namespace rondo {

/// What a half reads beside its weights and the stream.
struct HalfContext {
  LayerContext attention;  ///< positions, and the half's own cache of a sequence that goes on
  LossTerms& losses;       ///< takes the half's own terms of the objective
};

/// The stream before the half → the stream after it; x keeps its shape [rows, hidden].
using HalfFunction = std::function<Stream(const Stream&, const HalfContext&)>;

/// A parameter tensor that a half was given. Whoever builds a half asks HalfWeights for its
/// parameters, which records them, so that no tie goes unchecked.
struct View {
  Component component;
  std::string name;  ///< "q_proj/weight"
  Parameter parameter;
};

struct Half {
  HalfLayer place;
  HalfFunction run;
  std::vector<View> views;
};

/// Hands out the parameters of one half, and records them. Requests name tensors of the components
/// that the branch reads; those that this process does not hold throw std::logic_error.
class HalfWeights {
 public:
  /// What this use contributes to the gradients of the branch's norm and of its weights.
  struct GradientWeights {
    double norm = 1.0;
    double weights = 1.0;
  };
  /// `gradients` takes the weight gradients of linears; see Linear.
  HalfWeights(const ModelDefinition& model, const ComponentStore& store, HalfLayer place,
              GradientWeights uses, c10::intrusive_ptr<DeferredGradients> gradients);

  const ModelSpec& spec() const { return model_.spec; }
  /// Of the sharing map.
  int layer() const { return place_.layer; }
  HalfLayer place() const { return place_; }

  /// The norm before the branch.
  Norm norm();
  /// The norm `name` within the branch's weights, such as "q_norm".
  Norm inner_norm(const std::string& name);
  /// The named linears as one, stacked along their outputs, with the layer's low-rank terms.
  Linear linear(const std::vector<std::string>& names, bool bias);
  /// The last linear of the branch, with the layer's scales.
  Join join(const std::string& name, bool bias);
  /// Any tensor of the branch's weights, for ordinary LibTorch code, with what the layer adds of
  /// its own.
  GraphParameter parameter(const std::string& name);
  /// A tensor of any component, as it is.
  Parameter take(const Component& component, const std::string& name);
  /// The norm that such a component is.
  Norm norm_beside(const Component& component);

  std::vector<View> views() const { return views_; }

 private:
  Component component(Slot slot) const;
  Component of_layer(Kind kind) const;
  const Branch& branch() const;
  /// The tensor `name` of the branch's weights. Throws std::logic_error where there is none.
  ParameterSpec spec_of(const std::string& name) const;
  bool relaxed() const { return model_.relaxation_rank > 0; }
  Norm slot_norm(const Component& component, double gradient_weight);
  /// `tensor` of the named modules, one after the other.
  Parameter stacked(const Component& component, const std::vector<std::string>& modules,
                    const std::string& tensor);
  LayerVector vector(const std::vector<std::string>& modules, const std::string& tensor);

  const ModelDefinition& model_;
  const ComponentStore& store_;
  HalfLayer place_;
  GradientWeights uses_;
  c10::intrusive_ptr<DeferredGradients> gradients_;
  std::vector<View> views_;
};

/// Makes the mathematics of one half from its weights.
using HalfBuilder = std::function<HalfFunction(HalfWeights&)>;

/// Builders by Branch::name.
using HalfBuilders = std::map<std::string, HalfBuilder>;

/// Makes another half of one that was built from these weights.
using HalfWrapper = std::function<HalfFunction(const HalfWeights&, HalfFunction)>;

/// The same builders, with `wrap` around each half that they make.
HalfBuilders wrapped(HalfBuilders builders, const HalfWrapper& wrap);

/// "attention" and "feed_forward".
HalfBuilders built_in_halves();

/// The halves, from components that `store` holds. Throws std::logic_error for a branch without
/// builder.
std::vector<Half> make_halves(const ModelDefinition& model, const ComponentStore& store,
                              HalfLayers halves, const HalfBuilders& builders,
                              const c10::intrusive_ptr<DeferredGradients>& gradients);

/// The norm before the head.
Norm make_final_norm(const ModelSpec& model, const ComponentStore& store);

}  // namespace rondo
