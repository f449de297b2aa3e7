#include "launcher/config/schema.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/nearest.h"
#include "base/user_error.h"
#include "launcher/config/tables/tables.h"

namespace rondo {

const std::vector<ConfigField>& config_schema() {
  static const std::vector<ConfigField> schema =
      joined({model_fields(), training_fields(), run_fields()});
  return schema;
}

std::vector<std::string> config_keys() {
  std::vector<std::string> keys;
  for (const ConfigField& field : config_schema()) keys.push_back(field.key);
  return keys;
}

ConfigEntries config_defaults() {
  ConfigEntries entries;
  const Config config;
  for (const ConfigField& field : config_schema()) {
    entries[field.key] = {field.write(config), "default value", -1, /*chosen=*/false};
  }
  return entries;
}

bool is_model_key(const std::string& key) {
  const std::string table = table_of(key);
  return table == "model" || table == "relaxation" ||
         (table == "sharing" && key != "sharing.gradient");
}

void check_key_exists(const std::string& key, const std::string& where) {
  const std::vector<std::string> keys = config_keys();
  if (std::find(keys.begin(), keys.end(), key) != keys.end()) return;
  const std::string guess = did_you_mean(key, keys, "; ");
  throw UserError(
      fmt::format("{}: {} is not a key{}", where, key, guess.empty() ? list_keys_with : guess));
}

}  // namespace rondo
