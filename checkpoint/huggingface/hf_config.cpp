#include "checkpoint/huggingface/hf_config.h"

#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/user_error.h"
#include "checkpoint/format/json_fault.h"
#include "checkpoint/format/model_json.h"

namespace rondo {
namespace {

using Json = nlohmann::json;

/// One config.json, or an object inside it; absent and null entries are the same.
class HfConfig {
 public:
  HfConfig(std::string file, Json json) : file_(std::move(file)), json_(std::move(json)) {}

  Json get(const std::string& key) const { return json_.value(key, Json()); }

  HfConfig object(const std::string& key) const {
    const Json inner = get(key);
    if (!inner.is_null() && !inner.is_object()) refuse(key, "expected an object");
    return {file_, inner.is_null() ? Json::object() : inner};
  }

  int64_t size(const std::string& key, std::optional<int64_t> otherwise = {}) const {
    const Json value = get(key);
    if (value.is_null() && otherwise) return *otherwise;
    if (!value.is_number_unsigned() || value < 1 || value > largest_size) {
      refuse(key, fmt::format("expected a size of at least 1, at most {}", largest_size));
    }
    return value.get<int64_t>();
  }

  int64_t layers(const std::string& key) const {
    const int64_t depth = size(key);
    if (depth > most_layers) refuse(key, fmt::format("expected at most {} layers", most_layers));
    return depth;
  }

  double number(const std::string& key, double otherwise) const {
    const Json value = get(key);
    if (value.is_null()) return otherwise;
    if (!value.is_number() || value <= 0) refuse(key, "expected a positive number");
    return value.get<double>();
  }

  bool flag(const std::string& key, bool otherwise) const {
    const Json value = get(key);
    if (value.is_null()) return otherwise;
    if (!value.is_boolean()) refuse(key, "expected true or false");
    return value.get<bool>();
  }

  /// The only value of `key` that rondo can represent.
  void require(const std::string& key, const Json& only) const {
    const Json value = get(key);
    if (!value.is_null() && value != only) {
      refuse(key, fmt::format("rondo represents only {}", only.dump()));
    }
  }

  [[noreturn]] void refuse(const std::string& key, const std::string& why) const {
    throw UserError(fmt::format("{}: {} = {}: {}", file_, key, get(key).dump(), why));
  }

 private:
  std::string file_;
  Json json_;
};

HfConfig open_config(const std::string& dir) {
  const std::string file = (std::filesystem::path(dir) / "config.json").string();
  std::error_code unreadable;
  if (!std::filesystem::exists(file, unreadable)) {
    throw UserError(
        fmt::format("there is no {}: give the folder of a Hugging Face model, where its "
                    "config.json and model.safetensors lie",
                    file));
  }
  return {file, Json::parse(read_json_object(file))};
}

using Read = ModelSpec (*)(const HfConfig&);

/// A scaled rotary embedding would load but compute another function.
void require_plain_rotary(const HfConfig& config) {
  config.require("rope_interleaved", false);
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const HfConfig rope = config.object(key);
    rope.require("type", "default");
    rope.require("rope_type", "default");
  }
}

/// The same, and of whole heads.
void require_whole_rotary(const HfConfig& config) {
  require_plain_rotary(config);
  config.require("partial_rotary_factor", 1.0);
  config.object("rope_scaling").require("partial_rotary_factor", 1.0);
  config.object("rope_parameters").require("partial_rotary_factor", 1.0);
}

/// The names that the Llama line uses.
ModelSpec read_sizes(const HfConfig& config) {
  ModelSpec model;
  model.hidden = config.size("hidden_size");
  model.depth = config.layers("num_hidden_layers");
  model.heads = config.size("num_attention_heads");
  model.kv_heads = config.size("num_key_value_heads", model.heads);
  model.head_dim = config.size("head_dim", std::max<int64_t>(model.hidden / model.heads, 1));
  model.ffn = config.size("intermediate_size");
  model.vocab = config.size("vocab_size");
  model.norm_eps = config.number("rms_norm_eps", 1e-6);
  const double nested_theta = config.object("rope_parameters").number("rope_theta", 10000.0);
  model.rope_theta = config.number("rope_theta", nested_theta);
  model.tie_embeddings = config.flag("tie_word_embeddings", false);
  if (model.heads % model.kv_heads != 0) {
    config.refuse("num_key_value_heads",
                  fmt::format("it must divide num_attention_heads = {}", model.heads));
  }
  if (model.head_dim % 2 != 0) config.refuse("head_dim", "it must be even");
  return model;
}

ModelSpec read_llama(const HfConfig& config) {
  config.require("attention_bias", false);
  config.require("mlp_bias", false);
  config.require("hidden_act", "silu");
  config.require("sliding_window", nullptr);
  require_whole_rotary(config);
  return read_sizes(config);
}

ModelSpec read_qwen(const HfConfig& config) {
  config.require("attention_bias", false);  // of Qwen3; Qwen2 always has its three
  config.require("hidden_act", "silu");
  config.require("use_sliding_window", false);
  require_whole_rotary(config);
  return read_sizes(config);
}

ModelSpec read_gemma(const HfConfig& config) {
  // "gelu" in old files means the tanh form too: transformers overrides it.
  if (config.get("hidden_act") != "gelu") config.require("hidden_act", "gelu_pytorch_tanh");
  config.require("hidden_activation", "gelu_pytorch_tanh");
  config.require("attention_bias", false);
  config.require("use_bidirectional_attention", false);
  require_whole_rotary(config);
  ModelSpec model = read_sizes(config);
  model.head_dim = config.size("head_dim", 256);
  model.tie_embeddings = config.flag("tie_word_embeddings", true);
  return model;
}

ModelSpec read_gpt_neox(const HfConfig& config) {
  config.require("hidden_act", "gelu");
  config.require("attention_bias", true);
  config.require("use_parallel_residual", true);
  require_plain_rotary(config);
  ModelSpec model = read_sizes(config);
  model.norm_eps = config.number("layer_norm_eps", 1e-5);
  const HfConfig rope = config.object("rope_parameters");
  model.rope_theta = config.number("rotary_emb_base", rope.number("rope_theta", 10000.0));
  model.rotary_fraction = config.number("rotary_pct", rope.number("partial_rotary_factor", 0.25));
  if (model.rotary_fraction > 1.0) config.refuse("rotary_pct", "it must be at most 1");
  return model;
}

ModelSpec read_gpt2(const HfConfig& config) {
  config.require("activation_function", "gelu_new");
  config.require("scale_attn_weights", true);
  config.require("scale_attn_by_inverse_layer_idx", false);
  config.require("add_cross_attention", false);
  ModelSpec model;
  model.hidden = config.size("n_embd");
  model.depth = config.layers("n_layer");
  model.heads = config.size("n_head");
  model.kv_heads = model.heads;
  model.head_dim = std::max<int64_t>(model.hidden / model.heads, 1);
  model.ffn = config.size("n_inner", 4 * model.hidden);
  model.vocab = config.size("vocab_size");
  model.positions = config.size("n_positions");
  model.norm_eps = config.number("layer_norm_epsilon", 1e-5);
  model.tie_embeddings = config.flag("tie_word_embeddings", true);
  return model;
}

struct ModelType {
  std::string family;
  Read read;
};

const std::map<std::string, ModelType>& model_types() {
  static const std::map<std::string, ModelType> types = {
      {"llama", {"llama", read_llama}}, {"mistral", {"llama", read_llama}},
      {"qwen2", {"qwen2", read_qwen}},  {"qwen3", {"qwen3", read_qwen}},
      {"gemma", {"gemma", read_gemma}}, {"gpt_neox", {"gpt_neox", read_gpt_neox}},
      {"gpt2", {"gpt2", read_gpt2}},
  };
  return types;
}

}  // namespace

ModelSpec read_hugging_face_config(const std::string& dir) {
  const HfConfig config = open_config(dir);
  const Json type = config.get("model_type");
  const auto found = model_types().find(type.is_string() ? type.get<std::string>() : "");
  if (found == model_types().end()) {
    config.refuse("model_type",
                  "rondo imports llama, mistral, qwen2, qwen3, gemma, gpt_neox and gpt2");
  }
  ModelSpec model = found->second.read(config);
  model.family = found->second.family;
  return model;
}

namespace {

/// What all but GPT-2 call alike.
Json sizes_json(const ModelSpec& model) {
  return {{"hidden_size", model.hidden},
          {"num_hidden_layers", model.depth},
          {"num_attention_heads", model.heads},
          {"intermediate_size", model.ffn},
          {"vocab_size", model.vocab},
          {"max_position_embeddings", 8192},
          {"rope_theta", model.rope_theta},
          {"rope_parameters", {{"rope_type", "default"}, {"rope_theta", model.rope_theta}}}};
}

Json llama_json(const ModelSpec& model) {
  Json json = sizes_json(model);
  json["num_key_value_heads"] = model.kv_heads;
  json["head_dim"] = model.head_dim;
  json["rms_norm_eps"] = model.norm_eps;
  const bool gemma = model.family == "gemma";
  json["hidden_act"] = gemma ? "gelu_pytorch_tanh" : "silu";
  if (gemma) json["hidden_activation"] = "gelu_pytorch_tanh";
  json["attention_bias"] = false;
  if (model.family == "llama") json["mlp_bias"] = false;
  if (model.family.starts_with("qwen")) json["use_sliding_window"] = false;
  return json;
}

Json gpt_neox_json(const ModelSpec& model) {
  Json json = sizes_json(model);
  json["hidden_act"] = "gelu";
  json["layer_norm_eps"] = model.norm_eps;
  json["rotary_pct"] = model.rotary_fraction;
  json["rotary_emb_base"] = model.rope_theta;
  json["rope_parameters"]["partial_rotary_factor"] = model.rotary_fraction;
  json["use_parallel_residual"] = true;
  json["attention_bias"] = true;
  return json;
}

Json gpt2_json(const ModelSpec& model) {
  return {{"n_embd", model.hidden},
          {"n_layer", model.depth},
          {"n_head", model.heads},
          {"n_inner", model.ffn},
          {"vocab_size", model.vocab},
          {"n_positions", model.positions},
          {"layer_norm_epsilon", model.norm_eps},
          {"activation_function", "gelu_new"}};
}

struct Written {
  const char* architecture;
  Json (*sizes)(const ModelSpec&);
};

const std::map<std::string, Written>& written_types() {
  static const std::map<std::string, Written> types = {
      {"llama", {"LlamaForCausalLM", llama_json}},
      {"qwen2", {"Qwen2ForCausalLM", llama_json}},
      {"qwen3", {"Qwen3ForCausalLM", llama_json}},
      {"gemma", {"GemmaForCausalLM", llama_json}},
      {"gpt_neox", {"GPTNeoXForCausalLM", gpt_neox_json}},
      {"gpt2", {"GPT2LMHeadModel", gpt2_json}}};
  return types;
}

}  // namespace

namespace {

/// What it was called, and how long a text may be, stays; all else of the model is ours.
Json merged(const Json& origin, Json ours) {
  for (const char* key : {"model_type", "architectures", "max_position_embeddings"}) {
    if (origin.contains(key)) ours.erase(key);
  }
  // Texts may end in several ways, of which the tokenizer knows one.
  const Json ends = origin.value("eos_token_id", Json());
  if (ends.is_array() &&
      std::find(ends.begin(), ends.end(), ours.value("eos_token_id", Json())) != ends.end()) {
    ours.erase("eos_token_id");
  }
  Json json = origin;
  json.update(ours);
  return json;
}

}  // namespace

std::string hugging_face_config(const ModelSpec& model, torch::Dtype dtype,
                                std::optional<int64_t> end, const std::string& origin) {
  const Written& type = written_types().at(model.family);
  Json json = type.sizes(model);
  json["architectures"] = {type.architecture};
  json["model_type"] = model.family;
  json["tie_word_embeddings"] = model.tie_embeddings;
  if (end) json["eos_token_id"] = *end;
  // transformers 5 reads the first, earlier versions the second.
  json["dtype"] = json["torch_dtype"] = dtype == torch::kFloat64    ? "float64"
                                        : dtype == torch::kBFloat16 ? "bfloat16"
                                        : dtype == torch::kFloat16  ? "float16"
                                                                    : "float32";
  if (origin.empty()) return json.dump(2) + "\n";
  const std::string fault = json_fault(origin);
  if (!fault.empty()) throw UserError("/hugging_face/config.json: " + fault);
  return merged(Json::parse(origin), json).dump(2) + "\n";
}

}  // namespace rondo
