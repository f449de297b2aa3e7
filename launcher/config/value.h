// Values of the configuration before they have a type, and where each was written.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace rondo {

/// What a key may hold.
struct ConfigValue {
  using List = std::vector<ConfigValue>;
  std::variant<bool, int64_t, double, std::string, List> data;
  std::string typed = {};  ///< a bare word as the command line has it, which a text key takes
};

/// A value and its provenance.
struct ConfigEntry {
  ConfigValue value;
  std::string where;   ///< "configs/rondo.toml:4" or "override 'train.steps=3'"
  int layer = 0;       ///< merge order: the higher one was written later and wins
  bool chosen = true;  ///< by the user, and not by a group that the defaults list names
};

/// Dotted key ("model.hidden") → entry.
using ConfigEntries = std::map<std::string, ConfigEntry>;

/// The value as TOML text on one line; reads back as the same value.
std::string toml_literal(const ConfigValue& value);

/// The value as it appears inside a string: as `toml_literal`, but text without quotes.
std::string plain_text(const ConfigValue& value);

/// Lays `from` over `into`: its values replace those of the same key and carry `layer` and
/// `chosen`.
void overlay(ConfigEntries& into, const ConfigEntries& from, int layer, bool chosen);

/// The part of a dotted key in front of its first dot ("model"), and the part after its last
/// ("hidden"). A key without dots is both.
std::string table_of(const std::string& key);
std::string leaf_of(const std::string& key);

}  // namespace rondo
