#include "checkpoint/huggingface/hf_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/near_path.h"
#include "base/user_error.h"
#include "checkpoint/format/json_fault.h"
#include "checkpoint/format/model_json.h"
#include "checkpoint/huggingface/hf_value.h"
#include "model/definition/attention_window.h"
#include "model/definition/families.h"

namespace rondo {
namespace {

using Json = nlohmann::json;

constexpr const char* sliding = "sliding_attention";
constexpr const char* full = "full_attention";

/// One config.json. A place is a key, or "a.b": b of the object a.
class HfConfig {
 public:
  HfConfig(std::string file, Json json) : file_(std::move(file)), json_(std::move(json)) {}

  /// Nothing where it is absent; null is a value.
  std::optional<Json> at(const std::string& place) const {
    const size_t dot = place.find('.');
    const Json* object = &json_;
    if (dot != std::string::npos) {
      const std::string outer = place.substr(0, dot);
      const auto found = json_.find(outer);
      if (found == json_.end() || found->is_null()) return std::nullopt;
      if (!found->is_object()) refuse(outer, "expected an object");
      object = &*found;
    }
    const auto found = object->find(dot == std::string::npos ? place : place.substr(dot + 1));
    return found == object->end() ? std::nullopt : std::optional<Json>(*found);
  }

  /// The same, but null is absent.
  std::optional<Json> value(const std::string& place) const {
    std::optional<Json> found = at(place);
    return found && found->is_null() ? std::nullopt : found;
  }

  int64_t size(const std::string& place, int64_t most = largest_size, int64_t least = 1) const {
    const Json value = at(place).value_or(Json());
    if (!value.is_number_unsigned() || value < least || value > most) {
      refuse(place, fmt::format("expected a size of at least {}, at most {}", least, most));
    }
    return value.get<int64_t>();
  }

  double number(const std::string& place) const {
    const Json value = at(place).value_or(Json());
    if (!value.is_number() || value <= 0) refuse(place, "expected a positive number");
    return value.get<double>();
  }

  bool flag(const std::string& place) const {
    const Json value = at(place).value_or(Json());
    if (!value.is_boolean()) refuse(place, "expected true or false");
    return value.get<bool>();
  }

  [[noreturn]] void refuse(const std::string& place, const std::string& why) const {
    throw UserError(
        fmt::format("{}: {} = {}: {}", file_, place, at(place).value_or(Json()).dump(), why));
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
                    "config.json and model.safetensors lie{}",
                    file, did_you_mean_path(dir)));
  }
  return {file, Json::parse(read_json_object(file))};
}

/// Stores in the member what stands at `place`.
void store(const HfConfig& config, const std::string& place, const SpecMember& member,
           ModelSpec& model) {
  if (const auto* size = std::get_if<int64_t ModelSpec::*>(&member)) {
    model.** size = config.size(place, *size == &ModelSpec::depth ? most_layers : largest_size);
  } else if (const auto* number = std::get_if<double ModelSpec::*>(&member)) {
    model.** number = config.number(place);
  } else if (const auto* flag = std::get_if<bool ModelSpec::*>(&member)) {
    model.** flag = config.flag(place);
  }
}

void store(const ForeignDefault& value, const SpecMember& member, ModelSpec& model) {
  if (const auto* size = std::get_if<int64_t ModelSpec::*>(&member)) {
    const auto* derived = std::get_if<DerivedSize>(&value);
    model.** size = derived != nullptr ? (*derived)(model) : std::get<int64_t>(value);
  } else if (const auto* number = std::get_if<double ModelSpec::*>(&member)) {
    model.** number = std::get<double>(value);
  } else if (const auto* flag = std::get_if<bool ModelSpec::*>(&member)) {
    model.** flag = std::get<bool>(value);
  }
}

/// The first place counts; whatever stands at the others must say the same.
void read_key(const HfConfig& config, const ForeignKey& key, ModelSpec& model) {
  const auto counts = std::find_if(key.places.begin(), key.places.end(),
                                   [&](const auto& place) { return config.at(place).has_value(); });
  const std::string source = counts == key.places.end() ? "the default" : *counts;
  const bool is_null = counts != key.places.end() && config.at(*counts)->is_null();
  if (counts == key.places.end()) {
    store(key.absent, key.member, model);
  } else if (is_null && !std::holds_alternative<std::monostate>(key.null)) {
    store(key.null, key.member, model);
  } else {
    store(config, *counts, key.member, model);
  }
  std::vector<std::string> others(counts, key.places.end());
  others.insert(others.end(), key.unread.begin(), key.unread.end());
  const Json taken = value_of(model, key.member);
  for (const std::string& other : others) {
    const std::optional<Json> found = other == source ? std::nullopt : config.at(other);
    if (!found || (is_null ? found->is_null() : *found == taken)) continue;
    config.refuse(other, fmt::format("{} is {}, which is what transformers takes; keep one of both",
                                     source, taken.dump()));
  }
}

void check_fixed(const HfConfig& config, const FixedKey& key) {
  const std::optional<Json> found = config.value(key.place);
  if (!found) return;
  std::vector<std::string> possible;
  for (const auto& value : key.values) {
    const Json allowed = std::visit([](const auto& v) { return Json(v); }, value);
    if (*found == allowed) return;
    if (std::find(possible.begin(), possible.end(), allowed.dump()) == possible.end()) {
      possible.push_back(allowed.dump());
    }
  }
  config.refuse(key.place, fmt::format("rondo represents only {}", fmt::join(possible, ", ")));
}

/// transformers reads rope_scaling, unless it is empty, instead of rope_parameters, and can keep
/// one object for each kind of layer in either.
void check_rotary_objects(const HfConfig& config) {
  const Json scaling = config.value("rope_scaling").value_or(Json::object());
  const Json parameters = config.value("rope_parameters").value_or(Json::object());
  for (const auto& [name, object] :
       {std::pair("rope_scaling", scaling), std::pair("rope_parameters", parameters)}) {
    if (!object.is_object()) config.refuse(name, "expected an object");
    const bool by_kind = std::any_of(object.begin(), object.end(),
                                     [](const Json& entry) { return entry.is_object(); });
    if (by_kind) config.refuse(name, "rondo turns all layers alike: expected no objects inside it");
  }
  if (!scaling.empty() && !parameters.empty() && scaling != parameters) {
    config.refuse("rope_parameters",
                  "rope_scaling differs, and is what transformers takes; keep one of both");
  }
}

std::vector<bool> listed_layers(const HfConfig& config, const ModelSpec& model) {
  const Json list = *config.value("layer_types");
  if (!list.is_array() || static_cast<int64_t>(list.size()) != model.depth) {
    config.refuse("layer_types", fmt::format("expected a list of {} layers", model.depth));
  }
  std::vector<bool> slides;
  for (const Json& kind : list) {
    if (kind != sliding && kind != full) {
      config.refuse("layer_types", fmt::format("rondo represents only {}, {}", full, sliding));
    }
    slides.push_back(kind == sliding);
  }
  return slides;
}

/// The window that counts; 0: none.
int64_t window_at(const HfConfig& config, const WindowKeys& keys) {
  if (keys.switched && !(config.at("use_sliding_window") && config.flag("use_sliding_window"))) {
    return 0;
  }
  const std::optional<Json> found = config.at("sliding_window");
  if (!found) return keys.slides ? keys.window : 0;
  return found->is_null() ? 0 : config.size("sliding_window");
}

/// What the layers are without a list of their kinds.
std::vector<bool> unlisted_layers(const HfConfig& config, const WindowKeys& keys,
                                  const ModelSpec& model) {
  std::vector<bool> slides(static_cast<size_t>(model.depth), true);
  if (!keys.switched) return slides;
  const bool has_first = config.at("max_window_layers").has_value();
  const int64_t first = has_first ? config.size("max_window_layers", largest_size, 0) : keys.first;
  std::fill_n(slides.begin(), std::min(first, model.depth), false);
  return slides;
}

void read_windows(const HfConfig& config, const WindowKeys& keys, ModelSpec& model) {
  const int64_t window = window_at(config, keys);
  if (window > 0 && !keys.slides) {
    config.refuse("sliding_window", "transformers has no windows for this model_type");
  }
  std::vector<bool> slides = unlisted_layers(config, keys, model);
  if (window == 0) slides.assign(slides.size(), false);
  if (config.value("layer_types")) {
    const std::vector<bool> listed = listed_layers(config, model);
    const bool any = std::count(listed.begin(), listed.end(), true) > 0;
    if (any && window == 0) {
      config.refuse("layer_types", "layers slide, but there is no sliding_window in use");
    }
    if (!keys.listed && listed != slides) {
      config.refuse("layer_types", "transformers does not read it for this model_type");
    }
    slides = listed;
  }
  if (std::count(slides.begin(), slides.end(), true) == 0) return;
  model.window = window;
  model.window_layers = window_layers_text(slides);
}

/// What the sizes must have to do with each other.
void check_sizes(const HfConfig& config, const ForeignModel& row, const ModelSpec& model) {
  const auto refuse = [&](const SpecMember& member, const std::string& why) {
    for (const ForeignKey& key : row.keys) {
      if (key.member == member && !key.places.empty()) config.refuse(key.places.back(), why);
    }
    config.refuse("model_type", why);
  };
  if (model.heads % model.kv_heads != 0) {
    refuse(&ModelSpec::kv_heads,
           fmt::format("it must divide num_attention_heads = {}", model.heads));
  }
  if (model.head_dim % 2 != 0 && block_parts(model).rotary) {
    refuse(&ModelSpec::head_dim, "it must be even");
  }
  if (model.rotary_fraction > 1.0) refuse(&ModelSpec::rotary_fraction, "it must be at most 1");
}

ModelSpec read(const HfConfig& config, const Family& family, const ForeignModel& row) {
  ModelSpec model;
  model.family = family.name;
  for (const FixedKey& key : row.fixed) check_fixed(config, key);
  if (family.parts.rotary) check_rotary_objects(config);
  for (const ForeignKey& key : row.keys) read_key(config, key, model);
  read_windows(config, row.windows, model);
  check_sizes(config, row, model);
  return model;
}

}  // namespace

ModelSpec read_hugging_face_config(const std::string& dir) {
  const HfConfig config = open_config(dir);
  const Json type = config.value("model_type").value_or(Json());
  std::vector<std::string> known;
  for (const Family& family : families()) {
    for (const ForeignModel& row : family.foreign) {
      if (type == row.model_type) return read(config, family, row);
      known.push_back(row.model_type);
    }
  }
  config.refuse("model_type", fmt::format("rondo imports {}", fmt::join(known, ", ")));
}

}  // namespace rondo
