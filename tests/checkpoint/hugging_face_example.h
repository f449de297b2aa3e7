// A small Hugging Face folder that several tests know.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>

#include <map>
#include <string>
#include <vector>

#include "tests/checkpoint/safetensors_example.h"

namespace rondo {

inline nlohmann::json tiny_config() {
  return {{"model_type", "llama"},      {"hidden_size", 8},         {"intermediate_size", 12},
          {"num_hidden_layers", 4},     {"num_attention_heads", 2}, {"num_key_value_heads", 1},
          {"vocab_size", 16},           {"rms_norm_eps", 1e-5},     {"rope_theta", 100000.0},
          {"tie_word_embeddings", true}};
}

/// Layer l's tensors are full of l + 1, the embedding and final norm of 10 and 20.
inline std::map<std::string, at::Tensor> tiny_tensors(int depth) {
  std::map<std::string, at::Tensor> tensors = {
      {"model.embed_tokens.weight", at::full({16, 8}, 10.0)},
      {"model.norm.weight", at::full({8}, 20.0)}};
  const std::map<std::string, std::vector<int64_t>> shapes = {
      {"self_attn.q_proj", {8, 8}},     {"self_attn.k_proj", {4, 8}},
      {"self_attn.v_proj", {4, 8}},     {"self_attn.o_proj", {8, 8}},
      {"mlp.gate_proj", {12, 8}},       {"mlp.up_proj", {12, 8}},
      {"mlp.down_proj", {8, 12}},       {"input_layernorm", {8}},
      {"post_attention_layernorm", {8}}};
  for (int layer = 0; layer < depth; ++layer) {
    for (const auto& [name, shape] : shapes) {
      tensors["model.layers." + std::to_string(layer) + "." + name + ".weight"] =
          at::full(shape, layer + 1.0);
    }
  }
  return tensors;
}

inline void write_tiny(const TemporaryFolder& folder, const nlohmann::json& config,
                       const std::map<std::string, at::Tensor>& tensors) {
  write_file(folder.file("config.json"), config.dump());
  write_safetensors(folder.file("model.safetensors"), tensors);
}

}  // namespace rondo
