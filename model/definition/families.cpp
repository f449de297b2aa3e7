#include "model/definition/families.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/user_error.h"

namespace rondo {
namespace {

using Keys = std::vector<ForeignKey>;
using Fixed = std::vector<FixedKey>;
using Names = std::vector<std::string>;

int64_t as_heads(const ModelSpec& model) { return model.heads; }

int64_t head_share(const ModelSpec& model) {
  return std::max<int64_t>(model.hidden / model.heads, 1);
}

int64_t four_times_hidden(const ModelSpec& model) { return 4 * model.hidden; }

template <typename List>
List joined(List list, const List& more) {
  list.insert(list.end(), more.begin(), more.end());
  return list;
}

/// transformers 5 prefers an entry of rope_scaling or rope_parameters to one at the top; every
/// version reads the latter.
Names rotary_places(const std::string& nested, const std::string& top) {
  return {"rope_scaling." + nested, "rope_parameters." + nested, top};
}

struct Sizes {
  int64_t vocab, hidden, ffn, depth, heads;
  bool tied = false;
};

/// Of the Llama line and GPT-NeoX.
Keys size_keys(const Sizes& absent) {
  return {{&ModelSpec::vocab, {"vocab_size"}, absent.vocab},
          {&ModelSpec::hidden, {"hidden_size"}, absent.hidden},
          {&ModelSpec::ffn, {"intermediate_size"}, absent.ffn},
          {&ModelSpec::depth, {"num_hidden_layers"}, absent.depth},
          {&ModelSpec::heads, {"num_attention_heads"}, absent.heads},
          {&ModelSpec::tie_embeddings, {"tie_word_embeddings"}, absent.tied}};
}

/// A ForeignKey's `absent` and `null`.
struct Absent {
  ForeignDefault absent;
  ForeignDefault null = {};
};

Keys llama_keys(const Sizes& absent, const Absent& kv_heads, const Absent& head_dim) {
  return joined(
      size_keys(absent),
      Keys{{&ModelSpec::kv_heads, {"num_key_value_heads"}, kv_heads.absent, kv_heads.null},
           {&ModelSpec::head_dim, {"head_dim"}, head_dim.absent, head_dim.null},
           {&ModelSpec::norm_eps, {"rms_norm_eps"}, 1e-6},
           {&ModelSpec::rope_theta, rotary_places("rope_theta", "rope_theta"), 10000.0}});
}

const Names silu_names = {"silu", "swish"};
const Names gelu_names = {"gelu", "gelu_python"};
const Names gelu_tanh_names = {"gelu_pytorch_tanh", "gelu_python_tanh", "gelu_new", "gelu_fast",
                               "gelu_accurate"};

/// `name` is what exports have.
FixedKey activation(const std::string& key, const std::string& name, const Names& equal) {
  FixedKey fixed{key, {name}, /*written=*/true};
  fixed.values.insert(fixed.values.end(), equal.begin(), equal.end());
  return fixed;
}

/// A scaled or interleaved rotary embedding would load, but compute another function.
const Fixed plain_rotary = {{"rope_interleaved", {false}},
                            {"rope_scaling.type", {"default"}},
                            {"rope_scaling.rope_type", {"default"}},
                            {"rope_parameters.type", {"default"}},
                            {"rope_parameters.rope_type", {"default"}}};

const Fixed whole_rotary = joined(plain_rotary, {{"partial_rotary_factor", {1.0}},
                                                 {"rope_scaling.partial_rotary_factor", {1.0}},
                                                 {"rope_parameters.partial_rotary_factor", {1.0}}});

/// SwiGLU without biases.
const Fixed llama_fixed = joined(whole_rotary, {activation("hidden_act", "silu", silu_names),
                                                {"attention_bias", {false}},
                                                {"mlp_bias", {false}}});

const TensorNames llama_tensors = {
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

ForeignTensor fused(const std::string& name, int part, bool by_head, bool transposed) {
  return {.name = name, .transposed = transposed, .part = part, .parts = 3, .by_head = by_head};
}

/// arXiv 2302.13971, and those that differ from it in defaults and windows alone.
Family llama() {
  const Sizes mistral{.vocab = 32000, .hidden = 4096, .ffn = 14336, .depth = 32, .heads = 32};
  const Keys mistral_keys = llama_keys(mistral, {8}, {head_share, head_share});
  return {.name = "llama",
          .tensors = llama_tensors,
          .foreign = {
              {.model_type = "llama",
               .architecture = "LlamaForCausalLM",
               .keys = llama_keys(
                   {.vocab = 32000, .hidden = 4096, .ffn = 11008, .depth = 32, .heads = 32},
                   {as_heads, as_heads}, {head_share, head_share}),
               .fixed = llama_fixed},
              {.model_type = "mistral",  // arXiv 2310.06825
               .architecture = "MistralForCausalLM",
               .keys = mistral_keys,
               .fixed = llama_fixed,
               .windows = {.slides = true}},
              {.model_type = "ministral",
               .architecture = "MinistralForCausalLM",
               .keys = mistral_keys,
               .fixed = llama_fixed,
               .windows = {.slides = true, .listed = true}},
          }};
}

/// arXiv 2407.10671
Family qwen2() {
  return {
      .name = "qwen2",
      .parts = {.qkv_bias = true},
      .tensors = llama_tensors,
      .foreign = {{.model_type = "qwen2",
                   .architecture = "Qwen2ForCausalLM",
                   .keys = llama_keys(
                       {.vocab = 151936, .hidden = 4096, .ffn = 22016, .depth = 32, .heads = 32},
                       {32, as_heads}, {head_share, head_share}),
                   .fixed = llama_fixed,
                   .windows = {.slides = true, .listed = true, .switched = true}}}};
}

/// arXiv 2505.09388
Family qwen3() {
  return {
      .name = "qwen3",
      .parts = {.query_key_norm = true},
      .tensors = llama_tensors,
      .foreign = {{.model_type = "qwen3",
                   .architecture = "Qwen3ForCausalLM",
                   .keys = llama_keys(
                       {.vocab = 151936, .hidden = 4096, .ffn = 22016, .depth = 32, .heads = 32},
                       {32, as_heads}, {128}),
                   .fixed = llama_fixed,
                   .windows = {.slides = true, .listed = true, .switched = true}}}};
}

/// arXiv 2403.08295
Family gemma() {
  // The first files of Gemma have "gelu", which transformers 4 read as its tanh form and 5 does
  // not: that word is refused.
  const FixedKey older = activation("hidden_activation", "gelu_pytorch_tanh", gelu_tanh_names);
  return {
      .name = "gemma",
      .parts = {.gain_offset = 1.0, .activation = Activation::gelu_tanh, .scaled_embedding = true},
      .tensors = llama_tensors,
      .foreign = {{.model_type = "gemma",
                   .architecture = "GemmaForCausalLM",
                   .keys = llama_keys({.vocab = 256000,
                                       .hidden = 3072,
                                       .ffn = 24576,
                                       .depth = 28,
                                       .heads = 16,
                                       .tied = true},
                                      {16}, {256}),
                   .fixed = joined(whole_rotary,
                                   {activation("hidden_act", "gelu_pytorch_tanh", gelu_tanh_names),
                                    older,
                                    {"attention_bias", {false}},
                                    {"use_bidirectional_attention", {false}}})}}};
}

/// arXiv 2204.06745
Family gpt_neox() {
  const std::string qkv = "attention.query_key_value";
  const Keys own = {{&ModelSpec::kv_heads, {}, as_heads},
                    {&ModelSpec::head_dim, {}, head_share},
                    {&ModelSpec::norm_eps, {"layer_norm_eps"}, 1e-5},
                    {&ModelSpec::rope_theta,
                     rotary_places("rope_theta", "rotary_emb_base"),
                     10000.0,
                     {},
                     {"rope_theta"}},
                    {&ModelSpec::rotary_fraction,
                     rotary_places("partial_rotary_factor", "rotary_pct"),
                     0.25,
                     {},
                     {"partial_rotary_factor"}}};
  return {
      .name = "gpt_neox",
      .parts = {.norm = NormKind::layer,
                .activation = Activation::gelu,
                .gated = false,
                .qkv_bias = true,
                .output_bias = true,
                .feed_forward_bias = true,
                .parallel_residual = true},
      .tensors = {.layers = "gpt_neox.layers",
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
                             {"head", "embed_out"}},
                  .other_head = "lm_head"},
      .foreign = {
          {.model_type = "gpt_neox",
           .architecture = "GPTNeoXForCausalLM",
           .keys = joined(
               size_keys({.vocab = 50432, .hidden = 6144, .ffn = 24576, .depth = 44, .heads = 64}),
               own),
           .fixed = joined(plain_rotary, {activation("hidden_act", "gelu", gelu_names),
                                          {"attention_bias", {true}, true},
                                          {"use_parallel_residual", {true}, true}})}}};
}

/// Radford et al. 2019
Family gpt2() {
  const std::string qkv = "attn.c_attn";
  return {
      .name = "gpt2",
      .parts = {.norm = NormKind::layer,
                .activation = Activation::gelu_tanh,
                .gated = false,
                .qkv_bias = true,
                .output_bias = true,
                .feed_forward_bias = true,
                .rotary = false},
      .tensors = {.layers = "transformer.h",
                  .in_layer = {{"attention/q_proj", fused(qkv, 0, false, true)},
                               {"attention/k_proj", fused(qkv, 1, false, true)},
                               {"attention/v_proj", fused(qkv, 2, false, true)},
                               {"attention/o_proj", {.name = "attn.c_proj", .transposed = true}},
                               {"feed_forward/up_proj", {.name = "mlp.c_fc", .transposed = true}},
                               {"feed_forward/down_proj",
                                {.name = "mlp.c_proj", .transposed = true}},
                               {"attention_norm", {.name = "ln_1"}},
                               {"feed_forward_norm", {.name = "ln_2"}}},
                  .around = {{"embedding", "transformer.wte"},
                             {"positions", "transformer.wpe"},
                             {"final_norm", "transformer.ln_f"},
                             {"head", "lm_head"}}},
      .foreign = {
          {.model_type = "gpt2",
           .architecture = "GPT2LMHeadModel",
           .keys = {{&ModelSpec::vocab, {"vocab_size"}, 50257},
                    {&ModelSpec::hidden, {"hidden_size", "n_embd"}, 768},
                    {&ModelSpec::depth, {"num_hidden_layers", "n_layer"}, 12},
                    {&ModelSpec::heads, {"num_attention_heads", "n_head"}, 12},
                    {&ModelSpec::kv_heads, {}, as_heads},
                    {&ModelSpec::head_dim, {}, head_share},
                    {&ModelSpec::ffn, {"n_inner"}, four_times_hidden, four_times_hidden},
                    {&ModelSpec::positions, {"max_position_embeddings", "n_positions"}, 1024},
                    {&ModelSpec::norm_eps, {"layer_norm_epsilon"}, 1e-5},
                    {&ModelSpec::tie_embeddings, {"tie_word_embeddings"}, true}},
           .fixed = {activation("activation_function", "gelu_new", gelu_tanh_names),
                     {"scale_attn_weights", {true}},
                     {"scale_attn_by_inverse_layer_idx", {false}},
                     {"add_cross_attention", {false}}}}}};
}

}  // namespace

const std::vector<Family>& families() {
  static const std::vector<Family> table = {gemma(), gpt2(), gpt_neox(), llama(), qwen2(), qwen3()};
  return table;
}

std::vector<std::string> model_families() {
  std::vector<std::string> names;
  for (const Family& family : families()) names.push_back(family.name);
  return names;
}

const Family& family_of(const ModelSpec& model) {
  const auto found = std::find_if(families().begin(), families().end(), [&](const Family& family) {
    return family.name == model.family;
  });
  if (found != families().end()) return *found;
  throw UserError(fmt::format("model.family = \"{}\": possible: {}", model.family,
                              fmt::join(model_families(), ", ")));
}

const BlockParts& block_parts(const ModelSpec& model) { return family_of(model).parts; }

bool norms_fold(const BlockParts& parts) {
  return parts.norm != NormKind::layer || (parts.qkv_bias && parts.feed_forward_bias);
}

int64_t rotary_size(const ModelSpec& model) {
  if (!block_parts(model).rotary) return 0;
  const auto turned =
      static_cast<int64_t>(static_cast<double>(model.head_dim) * model.rotary_fraction);
  return turned / 2 * 2;
}

}  // namespace rondo
