#include "checkpoint/conversion/peft_export.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <utility>

#include "checkpoint/huggingface/hf_names.h"

namespace rondo {
namespace {

/// A·x then B·: the two factors of one of our linears in one layer.
struct Factors {
  ParameterSpec a;  ///< [r, in]
  ParameterSpec b;  ///< [out, r]

  int64_t rank() const { return a.shape[0]; }
};

/// One of their modules, and ours that it is stacked of.
struct Module {
  ForeignTensor weight;
  std::vector<Factors> parts;

  int64_t rank() const {
    return std::accumulate(parts.begin(), parts.end(), int64_t{0},
                           [](int64_t sum, const Factors& part) { return sum + part.rank(); });
  }
  /// "model.layers.3.self_attn.q_proj"
  std::string name() const { return weight.name.substr(0, weight.name.rfind('.')); }
  /// "self_attn.q_proj": after the number of the layer.
  std::string name_in_layer() const {
    const std::string whole = name();
    const size_t digit = whole.find_first_of("0123456789");
    return whole.substr(whole.find('.', digit) + 1);
  }
};

Factors factors_of(const ParameterSpec& linear, int64_t rank) {
  const int64_t out = linear.shape[0];
  const int64_t in = linear.shape[1];
  const int64_t r = std::min({rank, out, in});
  const Component component{Kind::adapter, linear.component.slot, linear.component.id};
  const std::string name = linear.name.substr(0, linear.name.rfind('/'));
  return {{component, name + "/a", {r, in}}, {component, name + "/b", {out, r}}};
}

std::vector<Module> modules_of(const UntiedModel& model) {
  std::vector<Module> modules;
  for (const HfStack& stack : hf_stacks(model.header.model.spec)) {
    const ParameterSpec& first = stack.parts.front();
    if (first.component.kind != Kind::slot || first.role != Role::matrix) continue;
    Module module{stack.tensor, {}};
    for (const ParameterSpec& part : stack.parts) {
      module.parts.push_back(factors_of(part, model.header.model.relaxation_rank));
    }
    modules.push_back(std::move(module));
  }
  return modules;
}

/// [sum of r, in]
at::Tensor stacked_a(const UntiedModel& model, const Module& module) {
  std::vector<at::Tensor> parts;
  for (const Factors& part : module.parts) parts.push_back(model.parameters(part.a));
  return at::cat(parts);
}

/// [out of all parts, sum of r]
at::Tensor stacked_b(const UntiedModel& model, const Module& module) {
  std::vector<at::Tensor> parts;
  int64_t column = 0;
  for (const Factors& part : module.parts) {
    const at::Tensor b = model.parameters(part.b);  // [out, r]
    at::Tensor wide = at::zeros({b.size(0), module.rank()}, b.options());
    wide.slice(1, column, column + part.rank()).copy_(b);
    column += part.rank();
    parts.push_back(wide);
  }
  ForeignTensor place = module.weight;
  place.transposed = false;  // PEFT's B is [out, r] also where the weight is [in, out]
  return put_parts(place, parts, model.header.model.spec);
}

}  // namespace

std::vector<TensorToWrite> peft_tensors(const UntiedModel& model) {
  std::vector<TensorToWrite> tensors;
  for (const Module& module : modules_of(model)) {
    const std::string name = "base_model.model." + module.name();
    const int64_t in = module.parts.front().a.shape[1];
    const int64_t out = module.parts.front().b.shape[0] * static_cast<int64_t>(module.parts.size());
    tensors.push_back(
        {name + ".lora_A.weight", {module.rank(), in}, [=] { return stacked_a(model, module); }});
    tensors.push_back(
        {name + ".lora_B.weight", {out, module.rank()}, [=] { return stacked_b(model, module); }});
  }
  return tensors;
}

std::string peft_config(const UntiedModel& model, const std::string& base) {
  const int64_t rank = model.header.model.relaxation_rank;
  std::set<std::string> targets;
  std::map<std::string, int64_t> other_ranks;  // of modules whose rank differs, by name in a layer
  bool transposed = false;
  for (const Module& module : modules_of(model)) {
    const std::string name = module.name_in_layer();
    targets.insert(name.substr(name.rfind('.') + 1));
    if (module.rank() != rank) other_ranks[name] = module.rank();
    transposed = transposed || module.weight.transposed;
  }
  const nlohmann::json config = {{"peft_type", "LORA"},
                                 {"task_type", "CAUSAL_LM"},
                                 {"base_model_name_or_path", base},
                                 {"r", rank},
                                 {"lora_alpha", rank},
                                 {"rank_pattern", other_ranks},
                                 {"alpha_pattern", other_ranks},
                                 {"target_modules", targets},
                                 {"fan_in_fan_out", transposed},
                                 {"bias", "none"},
                                 {"lora_dropout", 0.0},
                                 {"inference_mode", true}};
  return config.dump(2) + "\n";
}

}  // namespace rondo
