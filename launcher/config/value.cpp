#include "launcher/config/value.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace rondo {
namespace {

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\u{:04X}", byte);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

/// Shortest digits that read back as the same double; TOML tells floats by their point or exponent.
std::string float_literal(double number) {
  const std::string digits = fmt::format("{}", number);
  return digits.find_first_of(".en") == std::string::npos ? digits + ".0" : digits;
}

struct Literal {
  std::string operator()(bool flag) const { return flag ? "true" : "false"; }
  std::string operator()(int64_t number) const { return fmt::format("{}", number); }
  std::string operator()(double number) const { return float_literal(number); }
  std::string operator()(const std::string& text) const { return quoted(text); }
  std::string operator()(const ConfigValue::List& list) const {
    std::vector<std::string> items;
    for (const ConfigValue& item : list) items.push_back(toml_literal(item));
    return fmt::format("[{}]", fmt::join(items, ", "));
  }
};

}  // namespace

std::string toml_literal(const ConfigValue& value) { return std::visit(Literal{}, value.data); }

std::string plain_text(const ConfigValue& value) {
  const auto* text = std::get_if<std::string>(&value.data);
  return text != nullptr ? *text : toml_literal(value);
}

void overlay(ConfigEntries& into, const ConfigEntries& from, int layer, bool chosen) {
  for (const auto& [key, entry] : from) into[key] = {entry.value, entry.where, layer, chosen};
}

std::string table_of(const std::string& key) { return key.substr(0, key.find('.')); }

// npos + 1 is 0: a key without dots is its own leaf.
std::string leaf_of(const std::string& key) { return key.substr(key.rfind('.') + 1); }

}  // namespace rondo
