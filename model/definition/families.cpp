#include "model/definition/families.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>

#include "base/user_error.h"

namespace rondo {
namespace {

const std::map<std::string, BlockParts, std::less<>>& families() {
  static const std::map<std::string, BlockParts, std::less<>> table = {
      {"llama", {}},                        // arXiv 2302.13971
      {"qwen2", {.qkv_bias = true}},        // arXiv 2407.10671
      {"qwen3", {.query_key_norm = true}},  // arXiv 2505.09388
      {"gemma",                             // arXiv 2403.08295
       {.gain_offset = 1.0, .activation = Activation::gelu_tanh, .scaled_embedding = true}},
      {"gpt_neox",  // arXiv 2204.06745
       {.norm = NormKind::layer,
        .activation = Activation::gelu,
        .gated = false,
        .qkv_bias = true,
        .output_bias = true,
        .feed_forward_bias = true,
        .parallel_residual = true}},
      {"gpt2",  // Radford et al. 2019
       {.norm = NormKind::layer,
        .activation = Activation::gelu_tanh,
        .gated = false,
        .qkv_bias = true,
        .output_bias = true,
        .feed_forward_bias = true,
        .rotary = false}},
  };
  return table;
}

}  // namespace

std::vector<std::string> model_families() {
  std::vector<std::string> names;
  for (const auto& [name, parts] : families()) names.push_back(name);
  return names;
}

const BlockParts& block_parts(const ModelSpec& model) {
  const auto found = families().find(model.family);
  if (found != families().end()) return found->second;
  throw UserError(fmt::format("model.family = \"{}\": possible: {}", model.family,
                              fmt::join(model_families(), ", ")));
}

int64_t rotary_size(const ModelSpec& model) {
  if (!block_parts(model).rotary) return 0;
  const auto turned =
      static_cast<int64_t>(static_cast<double>(model.head_dim) * model.rotary_fraction);
  return turned / 2 * 2;
}

}  // namespace rondo
