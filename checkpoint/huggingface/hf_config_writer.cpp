#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/user_error.h"
#include "checkpoint/format/json_fault.h"
#include "checkpoint/huggingface/hf_config.h"
#include "checkpoint/huggingface/hf_value.h"
#include "model/definition/attention_window.h"
#include "model/definition/families.h"

namespace rondo {
namespace {

using Json = nlohmann::json;

const std::set<std::string> window_places = {"sliding_window", "use_sliding_window",
                                             "max_window_layers", "layer_types"};

bool represents(const ForeignModel& row, const ModelSpec& model) {
  if (model.window == 0) return true;
  return row.windows.slides && (row.windows.listed || model.window_layers == "all");
}

/// What the model was called before, or the family's first name that fits it.
const ForeignModel& row_for(const ModelSpec& model, const Json& origin) {
  const Family& family = family_of(model);
  const ForeignModel* chosen = nullptr;
  for (const ForeignModel& row : family.foreign) {
    if (!represents(row, model)) continue;
    const bool is_origin = origin.value("model_type", Json()) == row.model_type;
    if (chosen == nullptr || is_origin) chosen = &row;
  }
  if (model.pass_norm != "none" || model.pass_encoding || model.branch_scales) {
    throw UserError(
        "transformers has no model.pass_norm, pass_encoding or branch_scales: the model stays in "
        "FILE.h5");
  }
  if (chosen != nullptr) return *chosen;
  throw UserError(fmt::format(
      "transformers has no {} with sliding windows (model.window = {}): the model stays in FILE.h5",
      family.name, model.window));
}

/// A null or a switch that is off stands for no window: the default is one.
void put_windows(Json& json, const WindowKeys& keys, const ModelSpec& model) {
  if (keys.switched) json["use_sliding_window"] = model.window > 0;
  if (keys.slides && (model.window > 0 || !keys.switched)) {
    json["sliding_window"] = model.window > 0 ? Json(model.window) : Json();
  }
  if (!keys.listed || model.window == 0) return;
  const std::vector<bool> slides = *sliding_layers(model.window_layers, model.depth);
  const auto first = std::find(slides.begin(), slides.end(), true);
  // Versions that do not know layer_types read this one.
  if (keys.switched && std::find(first, slides.end(), false) == slides.end()) {
    json["max_window_layers"] = first - slides.begin();
    return;
  }
  if (model.window_layers == "all") return;
  for (const bool slide : slides) {
    json["layer_types"].push_back(slide ? "sliding_attention" : "full_attention");
  }
}

/// All of the model: each value at one place.
Json model_json(const ModelSpec& model, const ForeignModel& row) {
  Json json = {{"model_type", row.model_type}, {"architectures", {row.architecture}}};
  if (block_parts(model).rotary) json["max_position_embeddings"] = 8192;
  for (const ForeignKey& key : row.keys) {
    if (!key.places.empty()) json[key.places.back()] = value_of(model, key.member);
  }
  for (const FixedKey& key : row.fixed) {
    if (!key.written) continue;
    json[key.place] = std::visit([](const auto& value) { return Json(value); }, key.values.front());
  }
  put_windows(json, row.windows, model);
  return json;
}

/// The keys at the top that the family's entries own.
std::set<std::string> owned_keys(const Family& family) {
  std::set<std::string> owned = window_places;
  const auto own = [&owned](const std::string& place) {
    owned.insert(place.substr(0, place.find('.')));
  };
  for (const ForeignModel& row : family.foreign) {
    for (const ForeignKey& key : row.keys) {
      std::for_each(key.places.begin(), key.places.end(), own);
      std::for_each(key.unread.begin(), key.unread.end(), own);
    }
    for (const FixedKey& key : row.fixed) own(key.place);
  }
  return owned;
}

/// How long a text may be, and what rondo knows nothing of, stays; the rest is ours.
Json merged(Json origin, Json ours, const Family& family) {
  const bool same = origin.value("model_type", Json()) == ours["model_type"];
  if (same && origin.contains("architectures")) ours.erase("architectures");
  const bool learned = ours.contains("n_positions");
  if (origin.contains("max_position_embeddings") && !learned) ours.erase("max_position_embeddings");
  // Texts may end in several ways, of which the tokenizer knows one.
  const Json ends = origin.value("eos_token_id", Json());
  if (ends.is_array() &&
      std::find(ends.begin(), ends.end(), ours.value("eos_token_id", Json())) != ends.end()) {
    ours.erase("eos_token_id");
  }
  for (const std::string& key : owned_keys(family)) origin.erase(key);
  origin.update(ours);
  return origin;
}

}  // namespace

Json value_of(const ModelSpec& model, const SpecMember& member) {
  return std::visit([&model](const auto& field) { return Json(model.*field); }, member);
}

void check_exportable(const ModelSpec& model) { row_for(model, Json::object()); }

std::string hugging_face_config(const ModelSpec& model, at::ScalarType dtype,
                                std::optional<int64_t> end, const std::string& origin) {
  const std::string fault = origin.empty() ? "" : json_fault(origin);
  if (!fault.empty()) throw UserError("/hugging_face/config.json: " + fault);
  const Json before = origin.empty() ? Json::object() : Json::parse(origin);
  Json json = model_json(model, row_for(model, before));
  if (end) json["eos_token_id"] = *end;
  // transformers 5 reads the first, earlier versions the second.
  json["dtype"] = json["torch_dtype"] = dtype == at::kDouble     ? "float64"
                                        : dtype == at::kBFloat16 ? "bfloat16"
                                        : dtype == at::kHalf     ? "float16"
                                                                 : "float32";
  return merged(before, json, family_of(model)).dump(2) + "\n";
}

}  // namespace rondo
