#include "checkpoint/huggingface/hf_names.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <map>
#include <string_view>

namespace rondo {
namespace {

/// Their names of our modules: below `layers`.<layer> for what belongs to a layer.
struct Naming {
  std::string layers;
  std::map<std::string, HfTensor, std::less<>> in_layer;
  std::map<std::string, std::string, std::less<>> around;
};

const Naming& llama_naming() {
  static const Naming naming = {
      .layers = "model.layers",
      .in_layer = {{"attention/q_proj", {.name = "self_attn.q_proj"}},
                   {"attention/k_proj", {.name = "self_attn.k_proj"}},
                   {"attention/v_proj", {.name = "self_attn.v_proj"}},
                   {"attention/o_proj", {.name = "self_attn.o_proj"}},
                   {"attention/q_norm", {.name = "self_attn.q_norm"}},
                   {"attention/k_norm", {.name = "self_attn.k_norm"}},
                   {"feed_forward/gate_proj", {.name = "mlp.gate_proj"}},
                   {"feed_forward/up_proj", {.name = "mlp.up_proj"}},
                   {"feed_forward/down_proj", {.name = "mlp.down_proj"}},
                   {"attention_norm", {.name = "input_layernorm"}},
                   {"feed_forward_norm", {.name = "post_attention_layernorm"}}},
      .around = {
          {"embedding", "model.embed_tokens"}, {"final_norm", "model.norm"}, {"head", "lm_head"}}};
  return naming;
}

HfTensor fused(const std::string& name, int part, bool by_head, bool transposed) {
  return {.name = name, .transposed = transposed, .part = part, .parts = 3, .by_head = by_head};
}

const Naming& gpt_neox_naming() {
  const std::string qkv = "attention.query_key_value";
  static const Naming naming = {
      .layers = "gpt_neox.layers",
      .in_layer = {{"attention/q_proj", fused(qkv, 0, true, false)},
                   {"attention/k_proj", fused(qkv, 1, true, false)},
                   {"attention/v_proj", fused(qkv, 2, true, false)},
                   {"attention/o_proj", {.name = "attention.dense"}},
                   {"feed_forward/up_proj", {.name = "mlp.dense_h_to_4h"}},
                   {"feed_forward/down_proj", {.name = "mlp.dense_4h_to_h"}},
                   {"attention_norm", {.name = "input_layernorm"}},
                   {"feed_forward_norm", {.name = "post_attention_layernorm"}}},
      .around = {{"embedding", "gpt_neox.embed_in"},
                 {"final_norm", "gpt_neox.final_layer_norm"},
                 {"head", "embed_out"}}};
  return naming;
}

const Naming& gpt2_naming() {
  const std::string qkv = "attn.c_attn";
  static const Naming naming = {
      .layers = "transformer.h",
      .in_layer = {{"attention/q_proj", fused(qkv, 0, false, true)},
                   {"attention/k_proj", fused(qkv, 1, false, true)},
                   {"attention/v_proj", fused(qkv, 2, false, true)},
                   {"attention/o_proj", {.name = "attn.c_proj", .transposed = true}},
                   {"feed_forward/up_proj", {.name = "mlp.c_fc", .transposed = true}},
                   {"feed_forward/down_proj", {.name = "mlp.c_proj", .transposed = true}},
                   {"attention_norm", {.name = "ln_1"}},
                   {"feed_forward_norm", {.name = "ln_2"}}},
      .around = {{"embedding", "transformer.wte"},
                 {"positions", "transformer.wpe"},
                 {"final_norm", "transformer.ln_f"},
                 {"head", "lm_head"}}};
  return naming;
}

const Naming& naming_of(const ModelSpec& model) {
  if (model.family == "gpt_neox") return gpt_neox_naming();
  if (model.family == "gpt2") return gpt2_naming();
  return llama_naming();
}

}  // namespace

HfTensor hf_tensor(const ModelSpec& model, const ParameterSpec& parameter) {
  const Naming& naming = naming_of(model);
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
  HfTensor found = naming.in_layer.at(module);
  found.name = fmt::format("{}.{}.{}.{}", naming.layers, layer, found.name, tensor);
  return found;
}

std::vector<HfStack> hf_stacks(const ModelSpec& model) {
  std::vector<HfStack> stacks;
  std::map<std::string, size_t> place;
  for (const ParameterSpec& parameter : parameters(untied(model))) {
    const HfTensor tensor = hf_tensor(model, parameter);
    const auto [found, is_new] = place.emplace(tensor.name, stacks.size());
    if (is_new) stacks.push_back({tensor, {}});
    stacks[found->second].parts.push_back(parameter);
  }
  return stacks;
}

std::vector<int64_t> hf_shape(const HfTensor& from, const std::vector<int64_t>& shape) {
  std::vector<int64_t> theirs = shape;
  theirs[0] *= from.parts;
  if (from.transposed) std::reverse(theirs.begin(), theirs.end());
  return theirs;
}

torch::Tensor take_part(const HfTensor& from, const torch::Tensor& theirs, const ModelSpec& model) {
  const torch::Tensor stacked = from.transposed && theirs.dim() == 2 ? theirs.t() : theirs;
  if (from.parts == 1) return stacked;
  if (!from.by_head) return stacked.chunk(from.parts)[static_cast<size_t>(from.part)];
  // [heads, parts, head_dim, …]
  const torch::Tensor heads =
      stacked.unflatten(0, {model.heads, int64_t{from.parts}, model.head_dim});
  return heads.select(1, from.part).flatten(0, 1);
}

torch::Tensor put_parts(const HfTensor& to, const std::vector<torch::Tensor>& ours,
                        const ModelSpec& model) {
  torch::Tensor stacked = ours.front();
  if (to.parts > 1 && to.by_head) {
    std::vector<torch::Tensor> heads;
    for (const torch::Tensor& part : ours) {
      heads.push_back(part.unflatten(0, {model.heads, model.head_dim}));
    }
    stacked = torch::stack(heads, 1).flatten(0, 2);  // [heads · parts · head_dim, …]
  } else if (to.parts > 1) {
    stacked = torch::cat(ours);
  }
  return to.transposed && stacked.dim() == 2 ? stacked.t() : stacked;
}

std::string hf_base(const ModelSpec& model) {
  const std::string& layers = naming_of(model).layers;
  return layers.substr(0, layers.find('.') + 1);
}

std::string hf_head(const ModelSpec& model) {
  return naming_of(model).around.at("head") + ".weight";
}

bool hf_ignores(const std::string& name) {
  constexpr std::array<std::string_view, 5> buffers = {"rotary_emb.inv_freq", ".attention.bias",
                                                       ".attention.masked_bias", ".attn.bias",
                                                       ".attn.masked_bias"};
  return std::any_of(buffers.begin(), buffers.end(),
                     [&](std::string_view buffer) { return name.ends_with(buffer); });
}

}  // namespace rondo
