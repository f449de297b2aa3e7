#include "launcher/config/tables/row.h"

#include "launcher/config/tables/tables.h"

namespace rondo {

std::vector<ConfigField> joined(const std::vector<std::vector<ConfigField>>& parts) {
  std::vector<ConfigField> all;
  for (const std::vector<ConfigField>& part : parts)
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

void refuse_value(const ConfigField& field, const ConfigEntry& entry,
                  const std::string& complaint) {
  const std::string value = toml_literal(entry.value);
  const bool is_missing = !entry.chosen && value == toml_literal(field.write(Config{}));
  if (is_missing) {
    throw UserError(
        fmt::format("{}: {} is required and {}; set it", entry.where, field.key, complaint));
  }
  throw UserError(fmt::format("{}: {} = {}: {}", entry.where, field.key, value, complaint));
}

}  // namespace rondo
