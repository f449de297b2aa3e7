// The one table of keys. Parsing, type errors, unknown keys, rendering, --help-config and
// docs/configuration.md all come from it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "launcher/config/value.h"
#include "training/config.h"

namespace rondo {

/// One key, what its reference prints, and the member of Config that it is bound to.
struct ConfigField {
  std::string key;
  std::string type;     ///< "an integer"
  std::string allowed;  ///< what is possible beyond the type: "at least 1"; empty where all is
  std::vector<std::string> names;  ///< the values that have one: "auto"
  std::string unit;                ///< "tokens"; empty where the value has none
  std::string about;               ///< what it does: sentences
  /// Stores the entry's value. Throws UserError for a wrong type or an impossible value.
  std::function<void(const ConfigEntry&, Config&)> read;
  std::function<ConfigValue(const Config&)> write;
};

/// Every key, tables together, in the order in which a config is printed.
const std::vector<ConfigField>& config_schema();

/// The keys alone.
std::vector<std::string> config_keys();

/// An entry with the default value for every key, below every other layer.
ConfigEntries config_defaults();

/// Whether a checkpoint has its own value for the key: those that decide which function is learned.
bool is_model_key(const std::string& key);

/// The advice where no key is near to what the user wrote.
inline constexpr const char* list_keys_with = "; rondo train --help-config lists the keys";

/// Throws UserError that suggests the nearest key when `key` is not in the schema.
void check_key_exists(const std::string& key, const std::string& where);

}  // namespace rondo
