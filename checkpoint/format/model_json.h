// The model and its sharing map as the JSON of a checkpoint's root attributes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/definition/model_spec.h"
#include "model/definition/sharing_map.h"

namespace rondo {

/// Beyond any model, and small enough that no product of three sizes overflows.
inline constexpr int64_t largest_size = int64_t{1} << 20;
inline constexpr int64_t most_layers = 10'000;

/// {"family": "llama", "hidden": 512, …}: one entry per `model.*` key.
std::string model_to_json(const ModelSpec& model);

/// The same as a TOML table: "[model]\nfamily = "llama"\n…".
std::string model_to_toml(const ModelSpec& model);

/// A key that is not there keeps ModelSpec's default. Throws UserError (without naming a file) for
/// text that is no JSON object, a value of the wrong type, or a size below 1 or beyond
/// the above.
ModelSpec model_from_json(const std::string& text);

/// {"attention": [0, 1, …], "feed_forward": […], …}: slot → the component of each layer.
std::string sharing_to_json(const SharingMap& map);

/// Throws UserError (without naming a file) when a slot is missing, has another depth than the
/// others, or holds something that is no component id.
SharingMap sharing_from_json(const std::string& text);

/// [2, 7]
std::string tokens_to_json(const std::vector<int64_t>& tokens);

/// Throws UserError (without naming a file) for anything else than a list of token ids.
std::vector<int64_t> tokens_from_json(const std::string& text);

}  // namespace rondo
