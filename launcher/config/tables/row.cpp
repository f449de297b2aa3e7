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

std::string explained(const ConfigField& field, const std::string& complaint) {
  const std::string limits = field.allowed.empty() ? "" : ", " + field.allowed;
  return fmt::format("{}{} ({})", complaint, limits, first_sentence(field.about));
}

std::string first_sentence(const std::string& text) {
  const size_t end = text.find(". ");
  return end == std::string::npos && text.ends_with('.') ? text.substr(0, text.size() - 1)
                                                         : text.substr(0, end);
}

}  // namespace rondo
