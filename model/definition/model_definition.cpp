#include "model/definition/model_definition.h"

#include "base/user_error.h"
#include "model/definition/families.h"
#include "model/definition/recurrence.h"

namespace rondo {
namespace {

int branch_count(const ModelDefinition& model) { return static_cast<int>(model.branches.size()); }

}  // namespace

void check_pass_norm(const ModelSpec& spec) {
  if (spec.pass_norm == "none" || spec.pass_norm == "shared" || spec.pass_norm == "own") return;
  throw UserError("model.pass_norm = \"" + spec.pass_norm + "\": write none, shared or own");
}

void check_passes(const ModelDefinition& model) {
  check_pass_norm(model.spec);
  if (recurrence(model.sharing)) return;
  const bool norm = model.spec.pass_norm != "none";
  if (!norm && !model.spec.pass_encoding) return;
  throw UserError(std::string(norm ? "model.pass_norm" : "model.pass_encoding") +
                  " needs passes over layers that recur, and this sharing map repeats none: choose "
                  "sharing=cycle, universal or another map that repeats, or drop the key");
}

ModelDefinition untied(const ModelSpec& spec) {
  return {spec, make_sharing_map({}, static_cast<int>(spec.depth))};
}

int half_layers(const ModelDefinition& model) { return model.depth() * branch_count(model); }

HalfLayer half_layer(const ModelDefinition& model, int half) {
  return {model.layer(half / branch_count(model)), half % branch_count(model)};
}

std::vector<int64_t> stream_widths(const ModelDefinition& model, int half) {
  const int64_t hidden = model.spec.hidden;
  // Both branches of a parallel residual read the layer's input.
  const bool carries = block_parts(model.spec).parallel_residual && half < half_layers(model) &&
                       half_layer(model, half).branch > 0;
  return carries ? std::vector<int64_t>{hidden, hidden} : std::vector<int64_t>{hidden};
}

namespace {

/// The pass over the recurring layers that `layer` begins or ends.
std::optional<int> pass_beginning(const Recurrence& all, int layer) {
  const int within = layer - all.prelude;
  const bool recurs = within >= 0 && within < all.passes * all.period;
  return recurs && within % all.period == 0 ? std::optional(within / all.period) : std::nullopt;
}
std::optional<int> pass_ending(const Recurrence& all, int layer) {
  return pass_beginning({all.prelude + all.period - 1, all.period, all.passes}, layer);
}

}  // namespace

std::optional<Component> encoding_before(const ModelDefinition& model, int half) {
  const HalfLayer place = half_layer(model, half);
  if (!model.spec.pass_encoding || place.branch > 0) return std::nullopt;
  const std::optional<Recurrence> all = recurrence(model.sharing);
  const std::optional<int> pass = all ? pass_beginning(*all, place.layer) : std::nullopt;
  return pass ? std::optional(Component{Kind::pass_encoding, {}, *pass}) : std::nullopt;
}

std::optional<Component> norm_after(const ModelDefinition& model, int half) {
  const HalfLayer place = half_layer(model, half);
  const bool ends_layer = place.branch + 1 == branch_count(model);
  const bool is_last = half + 1 == half_layers(model);
  if (model.spec.pass_norm == "none" || !ends_layer || is_last) return std::nullopt;
  const std::optional<Recurrence> all = recurrence(model.sharing);
  const std::optional<int> pass = all ? pass_ending(*all, place.layer) : std::nullopt;
  if (!pass) return std::nullopt;
  if (model.spec.pass_norm == "shared") return Component{Kind::final_norm};
  return Component{Kind::pass_norm, {}, *pass};
}

std::vector<Component> components_of(const ModelDefinition& model, int half) {
  const HalfLayer place = half_layer(model, half);
  const Branch& branch = model.branches[place.branch];
  std::vector<Component> list;
  for (const Slot slot : {branch.norm, branch.weights}) {
    list.push_back({Kind::slot, slot, model.sharing.id(slot, place.layer)});
  }
  if (model.relaxation_rank > 0) list.push_back({Kind::adapter, branch.weights, place.layer});
  if (model.spec.branch_scales) list.push_back({Kind::scales, branch.weights, place.layer});
  for (const auto& beside : {encoding_before(model, half), norm_after(model, half)}) {
    if (beside) list.push_back(*beside);
  }
  return list;
}

std::vector<Component> entrance_components(const ModelDefinition& model) {
  std::vector<Component> list = {{Kind::embedding}};
  if (!block_parts(model.spec).rotary) list.push_back({Kind::positions});
  return list;
}

std::vector<Component> exit_components(const ModelDefinition& model) {
  return {{Kind::final_norm}, {model.spec.tie_embeddings ? Kind::embedding : Kind::head}};
}

namespace {

/// Those of a model that executes all its layers.
void append_pass_components(const ModelDefinition& model, std::vector<Component>& list) {
  const std::optional<Recurrence> all = recurrence(model.sharing);
  const int passes = all ? all->passes : 0;
  for (int pass = 0; model.spec.pass_encoding && pass < passes; ++pass) {
    list.push_back({Kind::pass_encoding, {}, pass});
  }
  const int norms = all && all->coda == 0 ? passes - 1 : passes;
  for (int pass = 0; model.spec.pass_norm == "own" && pass < norms; ++pass) {
    list.push_back({Kind::pass_norm, {}, pass});
  }
}

}  // namespace

std::vector<Component> components(const ModelDefinition& model) {
  std::vector<Component> list = entrance_components(model);
  for (const Slot slot : model.sharing.slots()) {
    for (const int id : model.sharing.ids(slot)) list.push_back({Kind::slot, slot, id});
  }
  const auto append_by_layer = [&](Kind kind) {
    for (int layer = 0; layer < model.sharing.depth(); ++layer) {
      for (const Branch& branch : model.branches) list.push_back({kind, branch.weights, layer});
    }
  };
  if (model.relaxation_rank > 0) append_by_layer(Kind::adapter);
  if (model.spec.branch_scales) append_by_layer(Kind::scales);
  append_pass_components(model, list);
  list.push_back({Kind::final_norm});
  if (!model.spec.tie_embeddings) list.push_back({Kind::head});
  return list;
}

}  // namespace rondo
