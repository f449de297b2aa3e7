#include "checkpoint/format/model_json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/json_integer.h"
#include "base/user_error.h"
#include "checkpoint/format/json_fault.h"
#include "model/definition/attention_window.h"
#include "model/definition/families.h"
#include "model/definition/model_definition.h"

namespace rondo {
namespace {

using Json = nlohmann::ordered_json;

/// Calls visit(key, field) for every field of a model: reading and writing are the same list.
template <typename Model, typename Visit>
void for_each_field(Model& model, Visit visit) {
  visit("family", model.family);
  visit("hidden", model.hidden);
  visit("depth", model.depth);
  visit("heads", model.heads);
  visit("kv_heads", model.kv_heads);
  visit("head_dim", model.head_dim);
  visit("ffn", model.ffn);
  visit("vocab", model.vocab);
  visit("positions", model.positions);
  visit("rope_theta", model.rope_theta);
  visit("rotary_fraction", model.rotary_fraction);
  visit("norm_eps", model.norm_eps);
  visit("tie_embeddings", model.tie_embeddings);
}

/// The same for fields that are written only where they differ from their defaults: files of models
/// without them stay as they were.
template <typename Model, typename Visit>
void for_each_later_field(Model& model, Visit visit) {
  visit("pass_norm", model.pass_norm);
  visit("pass_encoding", model.pass_encoding);
  visit("branch_scales", model.branch_scales);
  visit("window", model.window);
  visit("window_layers", model.window_layers);
}

Json parse_object(const std::string& text, const std::string& what) {
  const std::string fault = json_fault(text);
  if (!fault.empty()) throw UserError(fmt::format("{} is not a JSON object: {}", what, fault));
  return Json::parse(text);
}

bool has_type(const Json& value, const std::string&) { return value.is_string(); }
bool has_type(const Json& value, int64_t) { return is_json_integer(value); }
bool has_type(const Json& value, double) { return value.is_number(); }
bool has_type(const Json& value, bool) { return value.is_boolean(); }

}  // namespace

std::string model_to_json(const ModelSpec& model) {
  Json json;
  for_each_field(model, [&](const char* key, const auto& field) { json[key] = field; });
  Json defaults;
  const ModelSpec plain;
  for_each_later_field(plain, [&](const char* key, const auto& field) { defaults[key] = field; });
  for_each_later_field(model, [&](const char* key, const auto& field) {
    if (defaults[key] != field) json[key] = field;
  });
  return json.dump();
}

std::string model_to_toml(const ModelSpec& model) {
  std::string toml = "[model]\n";
  // JSON's strings, numbers and booleans are TOML's.
  const Json json = Json::parse(model_to_json(model));
  for (const auto& [key, value] : json.items()) {
    toml += fmt::format("{} = {}\n", key, value.dump());
  }
  return toml;
}

ModelSpec model_from_json(const std::string& text) {
  const Json json = parse_object(text, "model");
  ModelSpec model;
  const auto read = [&](const char* key, auto& field) {
    const auto entry = json.find(key);
    if (entry == json.end()) return;
    if (!has_type(*entry, field)) {
      throw UserError(fmt::format("model.{} = {} has the wrong type", key, entry->dump()));
    }
    entry->get_to(field);
  };
  for_each_field(model, read);
  for_each_later_field(model, read);
  check_pass_norm(model);
  block_parts(model);  // refuses another family
  const std::pair<const char*, int64_t> sizes[] = {
      {"hidden", model.hidden},     {"depth", model.depth},       {"heads", model.heads},
      {"kv_heads", model.kv_heads}, {"head_dim", model.head_dim}, {"ffn", model.ffn},
      {"vocab", model.vocab}};
  for (const auto& [key, size] : sizes) {
    if (size < 1) throw UserError(fmt::format("model.{} = {} must be at least 1", key, size));
    if (size > largest_size) {
      throw UserError(fmt::format("model.{} = {} must be at most {}", key, size, largest_size));
    }
  }
  if (const auto fault = window_fault(model)) throw UserError("model." + *fault);
  return model;
}

std::string sharing_to_json(const SharingMap& map) {
  Json json;
  for (Slot slot : all_slots) json[std::string(slot.name)] = map.of(slot);
  return json.dump();
}

SharingMap sharing_from_json(const std::string& text) {
  const Json json = parse_object(text, "sharing");
  SharingMap map;
  for (Slot slot : all_slots) {
    const std::string name(slot.name);
    const auto ids = json.find(name);
    if (ids == json.end() || !ids->is_array()) {
      throw UserError(fmt::format("sharing.{} is not a list of component ids", name));
    }
    for (const Json& id : *ids) {
      if (!id.is_number_integer() || id < 0 || id > 1'000'000) {
        throw UserError(
            fmt::format("sharing.{} holds {}, which is no component id", name, id.dump()));
      }
      map.of(slot).push_back(id.get<int>());
    }
    if (map.of(slot).size() != map.of(all_slots[0]).size()) {
      throw UserError(fmt::format("sharing.{} has {} layers, sharing.{} has {}", name,
                                  map.of(slot).size(), all_slots[0].name,
                                  map.of(all_slots[0]).size()));
    }
  }
  return map;
}

std::string tokens_to_json(const std::vector<int64_t>& tokens) { return Json(tokens).dump(); }

std::vector<int64_t> tokens_from_json(const std::string& text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto is_token = [](const Json& id) { return is_json_integer(id) && id >= 0; };
  if (!json.is_array() || !std::all_of(json.begin(), json.end(), is_token)) {
    throw UserError(fmt::format("{} is no list of token ids", text));
  }
  return json.get<std::vector<int64_t>>();
}

}  // namespace rondo
