#include "checkpoint/hf_config.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/user_error.h"

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
    if (!value.is_number_unsigned() || value < 1 || value > INT32_MAX) {
      refuse(key, "expected a size of at least 1");
    }
    return value.get<int64_t>();
  }

  double number(const std::string& key, double otherwise) const {
    const Json value = get(key);
    if (value.is_null()) return otherwise;
    if (!value.is_number() || value <= 0) refuse(key, "expected a positive number");
    return value.get<double>();
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
  std::ifstream stream(file);
  if (!stream) throw UserError(fmt::format("{}: there is no such file", file));
  Json json = Json::parse(stream, nullptr, false);
  if (!json.is_object()) throw UserError(file + " is not a JSON object");
  return {file, std::move(json)};
}

/// Refuses what would load but compute another function.
void check_representable(const HfConfig& config) {
  const Json type = config.get("model_type");
  if (type != "llama" && type != "mistral") {
    config.refuse("model_type", "rondo imports llama and mistral");
  }
  config.require("attention_bias", false);
  config.require("mlp_bias", false);
  config.require("hidden_act", "silu");
  config.require("sliding_window", nullptr);
  config.require("rope_interleaved", false);
  config.require("partial_rotary_factor", 1.0);
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const HfConfig rope = config.object(key);
    rope.require("type", "default");
    rope.require("rope_type", "default");
    rope.require("partial_rotary_factor", 1.0);
  }
}

}  // namespace

ModelSpec read_hugging_face_config(const std::string& dir) {
  const HfConfig config = open_config(dir);
  check_representable(config);
  ModelSpec model;
  model.family = "llama";
  model.hidden = config.size("hidden_size");
  model.depth = config.size("num_hidden_layers");
  model.heads = config.size("num_attention_heads");
  model.kv_heads = config.size("num_key_value_heads", model.heads);
  model.head_dim = config.size("head_dim", std::max<int64_t>(model.hidden / model.heads, 1));
  model.ffn = config.size("intermediate_size");
  model.vocab = config.size("vocab_size");
  model.norm_eps = config.number("rms_norm_eps", 1e-6);
  const double nested_theta = config.object("rope_parameters").number("rope_theta", 10000.0);
  model.rope_theta = config.number("rope_theta", nested_theta);
  const Json tie = config.get("tie_word_embeddings");
  model.tie_embeddings = tie.is_boolean() && tie.get<bool>();
  if (model.heads % model.kv_heads != 0) {
    config.refuse("num_key_value_heads",
                  fmt::format("it must divide num_attention_heads = {}", model.heads));
  }
  if (model.head_dim % 2 != 0) config.refuse("head_dim", "it must be even");
  return model;
}

}  // namespace rondo
