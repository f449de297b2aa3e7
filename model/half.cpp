#include "model/half.h"

#include <ATen/TensorOperators.h>
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "model/definition/families.h"

namespace rondo {
namespace {

/// A norm of the family's kind with this gain.
Norm norm_of(const ModelSpec& model, LayerVector gain, double gradient_weight) {
  const BlockParts& parts = block_parts(model);
  return {.gain = std::move(gain),
          .kind = parts.norm,
          .gain_offset = parts.gain_offset,
          .eps = model.norm_eps,
          .gradient_weight = gradient_weight};
}

/// What each executed layer's use of `slot` contributes, in execution order.
std::vector<double> gradient_weights_of(const ModelDefinition& model, Slot slot) {
  std::vector<int> ids;
  for (int i = 0; i < model.depth(); ++i) ids.push_back(model.sharing.id(slot, model.layer(i)));
  return gradient_weights(ids, model.gradient);
}

}  // namespace

HalfWeights::HalfWeights(const ModelDefinition& model, const ComponentStore& store, HalfLayer place,
                         GradientWeights uses, c10::intrusive_ptr<DeferredGradients> gradients)
    : model_(model), store_(store), place_(place), uses_(uses), gradients_(std::move(gradients)) {}

const Branch& HalfWeights::branch() const { return model_.branches[place_.branch]; }

Component HalfWeights::component(Slot slot) const {
  return {Kind::slot, slot, model_.sharing.id(slot, place_.layer)};
}

Component HalfWeights::of_layer(Kind kind) const { return {kind, branch().weights, place_.layer}; }

Parameter HalfWeights::take(const Component& component, const std::string& name) {
  views_.push_back({component, name, store_.at(component, name)});
  return views_.back().parameter;
}

Parameter HalfWeights::stacked(const Component& component, const std::vector<std::string>& modules,
                               const std::string& tensor) {
  std::vector<std::string> names;
  for (const std::string& module : modules) {
    names.push_back(fmt::format("{}/{}", module, tensor));
    take(component, names.back());
  }
  return store_.stacked(component, names);
}

LayerVector HalfWeights::vector(const std::vector<std::string>& modules,
                                const std::string& tensor) {
  LayerVector use{.shared = stacked(component(branch().weights), modules, tensor)};
  if (relaxed()) use.own = stacked(of_layer(Kind::adapter), modules, tensor);
  return use;
}

Norm HalfWeights::slot_norm(const Component& component, double gradient_weight) {
  Norm use = norm_of(spec(), {take(component, "weight")}, gradient_weight);
  if (use.kind == NormKind::layer) use.bias = take(component, "bias");
  return use;
}

Norm HalfWeights::norm() { return slot_norm(component(branch().norm), uses_.norm); }

Norm HalfWeights::norm_beside(const Component& component) { return slot_norm(component, 1.0); }

Norm HalfWeights::inner_norm(const std::string& name) {
  return norm_of(spec(), vector({name}, "weight"), uses_.weights);
}

Linear HalfWeights::linear(const std::vector<std::string>& names, bool bias) {
  Linear use{.weight = stacked(component(branch().weights), names, "weight"),
             .gradients = gradients_,
             .gradient_weight = uses_.weights};
  if (bias) use.bias = vector(names, "bias");
  int64_t row = 0;
  for (const std::string& name : names) {
    if (!relaxed()) break;
    const Component own = of_layer(Kind::adapter);
    use.adapters.push_back({take(own, name + "/a"), take(own, name + "/b"), row});
    row += use.adapters.back().b.value.size(0);
  }
  return use;
}

Join HalfWeights::join(const std::string& name, bool bias) {
  Join join{.last = linear({name}, bias)};
  if (!spec().branch_scales) return join;
  const Component scales = of_layer(Kind::scales);
  join.scales = BranchScales{take(scales, "branch"), take(scales, "residual")};
  return join;
}

ParameterSpec HalfWeights::spec_of(const std::string& name) const {
  std::string known;
  for (const ParameterSpec& spec : parameters_of(model_, component(branch().weights))) {
    if (spec.name == name) return spec;
    known += (known.empty() ? "" : ", ") + spec.name;
  }
  throw std::logic_error(
      fmt::format("the branch {} has no tensor {}; it has {}", branch().name, name, known));
}

GraphParameter HalfWeights::parameter(const std::string& name) {
  const ParameterSpec spec = spec_of(name);
  GraphParameter use{.shared = take(component(branch().weights), name),
                     .gradient_weight = uses_.weights};
  if (!relaxed()) return use;
  const Component own = of_layer(Kind::adapter);
  const std::string module = name.substr(0, name.rfind('/'));
  if (spec.role == Role::matrix) {
    use.a = take(own, module + "/a");
    use.b = take(own, module + "/b");
  } else {
    use.own = take(own, name);
  }
  return use;
}

namespace {

/// `run` with what the definition puts before and after half number `half`.
HalfFunction between_passes(HalfFunction run, const ModelDefinition& model, int half,
                            HalfWeights& weights) {
  if (const auto encoding = encoding_before(model, half)) {
    run = [run, vector = weights.take(*encoding, "weight")](const Stream& stream,
                                                            const HalfContext& context) {
      Stream encoded = stream;
      encoded.x = stream.x + in_graph(vector);
      return run(encoded, context);
    };
  }
  if (const auto component = norm_after(model, half)) {
    run = [run, norm = weights.norm_beside(*component)](const Stream& stream,
                                                        const HalfContext& context) {
      Stream after = run(stream, context);
      after.x = normalise(after.x, norm);
      return after;
    };
  }
  return run;
}

}  // namespace

namespace {

/// A branch that adds its result by itself would leave the scales of the layer without effect.
void check_scales(const ModelDefinition& model, const Branch& branch,
                  const std::vector<View>& views) {
  const bool scaled = std::any_of(views.begin(), views.end(), [](const View& view) {
    return view.component.kind == Kind::scales;
  });
  if (scaled || !model.spec.branch_scales) return;
  throw std::logic_error(fmt::format(
      "the branch {} adds to the stream without HalfWeights::join, so that model.branch_scales has "
      "no effect",
      branch.name));
}

}  // namespace

HalfBuilders wrapped(HalfBuilders builders, const HalfWrapper& wrap) {
  for (auto& [name, builder] : builders) {
    builder = [wrap, build = builder](HalfWeights& weights) {
      HalfFunction run = build(weights);
      return wrap(weights, std::move(run));
    };
  }
  return builders;
}

std::vector<Half> make_halves(const ModelDefinition& model, const ComponentStore& store,
                              HalfLayers halves, const HalfBuilders& builders,
                              const c10::intrusive_ptr<DeferredGradients>& gradients) {
  std::map<Slot, std::vector<double>> weights;
  for (const Branch& branch : model.branches) {
    weights[branch.norm] = gradient_weights_of(model, branch.norm);
    weights[branch.weights] = gradient_weights_of(model, branch.weights);
  }
  std::vector<Half> list;
  for (int half = halves.begin; half < halves.end; ++half) {
    const HalfLayer place = half_layer(model, half);
    const Branch& branch = model.branches[place.branch];
    const auto builder = builders.find(branch.name);
    if (builder == builders.end()) {
      throw std::logic_error(fmt::format("no half is built for the branch {}", branch.name));
    }
    const auto position = static_cast<size_t>(half) / model.branches.size();
    HalfWeights own(model, store, place,
                    {weights[branch.norm][position], weights[branch.weights][position]}, gradients);
    HalfFunction run = between_passes(builder->second(own), model, half, own);
    check_scales(model, branch, own.views());
    list.push_back({place, std::move(run), own.views()});
  }
  return list;
}

Norm make_final_norm(const ModelSpec& model, const ComponentStore& store) {
  Norm norm = norm_of(model, {store.at({Kind::final_norm}, "weight")}, 1.0);
  if (norm.kind == NormKind::layer) norm.bias = store.at({Kind::final_norm}, "bias");
  return norm;
}

}  // namespace rondo
