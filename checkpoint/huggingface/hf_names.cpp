#include "checkpoint/huggingface/hf_names.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <string_view>

#include "model/definition/families.h"

namespace rondo {
ForeignTensor hf_tensor(const ModelSpec& model, const ParameterSpec& parameter) {
  const TensorNames& naming = family_of(model).tensors;
  const size_t end = parameter.path().rfind('/');
  const std::string tensor = parameter.path().substr(end + 1);  // weight or bias
  const auto around = naming.around.find(to_string(parameter.component));
  if (around != naming.around.end()) {
    return {.name = fmt::format("{}.{}", around->second, tensor)};
  }
  // "attention/3" and "q_proj/weight", or "attention_norm/3" and "weight"
  const int layer = parameter.component.id;
  const std::string slot(parameter.component.slot.name);
  const std::string linear = parameter.name.substr(0, parameter.name.find('/'));
  const std::string module = linear == tensor ? slot : fmt::format("{}/{}", slot, linear);
  ForeignTensor found = naming.in_layer.at(module);
  found.name = fmt::format("{}.{}.{}.{}", naming.layers, layer, found.name, tensor);
  return found;
}

std::vector<HfStack> hf_stacks(const ModelSpec& model) {
  std::vector<HfStack> stacks;
  std::map<std::string, size_t> place;
  for (const ParameterSpec& parameter : parameters(untied(model))) {
    const ForeignTensor tensor = hf_tensor(model, parameter);
    const auto [found, is_new] = place.emplace(tensor.name, stacks.size());
    if (is_new) stacks.push_back({tensor, {}});
    stacks[found->second].parts.push_back(parameter);
  }
  return stacks;
}

std::vector<int64_t> hf_shape(const ForeignTensor& from, const std::vector<int64_t>& shape) {
  std::vector<int64_t> theirs = shape;
  theirs[0] *= from.parts;
  if (from.transposed) std::reverse(theirs.begin(), theirs.end());
  return theirs;
}

at::Tensor take_part(const ForeignTensor& from, const at::Tensor& theirs, const ModelSpec& model) {
  const at::Tensor stacked = from.transposed && theirs.dim() == 2 ? theirs.t() : theirs;
  if (from.parts == 1) return stacked;
  if (!from.by_head) return stacked.chunk(from.parts)[from.part];
  // [heads, parts, head_dim, …]
  const at::Tensor heads = stacked.unflatten(0, {model.heads, int64_t{from.parts}, model.head_dim});
  return heads.select(1, from.part).flatten(0, 1);
}

at::Tensor put_parts(const ForeignTensor& to, const std::vector<at::Tensor>& ours,
                     const ModelSpec& model) {
  at::Tensor stacked = ours.front();
  if (to.parts > 1 && to.by_head) {
    std::vector<at::Tensor> heads;
    for (const at::Tensor& part : ours) {
      heads.push_back(part.unflatten(0, {model.heads, model.head_dim}));
    }
    stacked = at::stack(heads, 1).flatten(0, 2);  // [heads · parts · head_dim, …]
  } else if (to.parts > 1) {
    stacked = at::cat(ours);
  }
  return to.transposed && stacked.dim() == 2 ? stacked.t() : stacked;
}

std::string hf_base(const ModelSpec& model) {
  const std::string& layers = family_of(model).tensors.layers;
  return layers.substr(0, layers.find('.') + 1);
}

std::string hf_head(const ModelSpec& model) {
  return family_of(model).tensors.around.at("head") + ".weight";
}

std::string hf_other_head(const ModelSpec& model) {
  const std::string& name = family_of(model).tensors.other_head;
  return name.empty() ? "" : name + ".weight";
}

std::string hf_embedding(const ModelSpec& model) {
  return family_of(model).tensors.around.at("embedding") + ".weight";
}

bool hf_ignores(const std::string& name) {
  constexpr std::array<std::string_view, 5> buffers = {"rotary_emb.inv_freq", ".attention.bias",
                                                       ".attention.masked_bias", ".attn.bias",
                                                       ".attn.masked_bias"};
  return std::any_of(buffers.begin(), buffers.end(),
                     [&](std::string_view buffer) { return name.ends_with(buffer); });
}

}  // namespace rondo
