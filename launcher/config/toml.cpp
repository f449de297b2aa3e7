#include "launcher/config/toml.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/user_error.h"

namespace rondo {
namespace {

std::optional<ConfigValue> scalar(const toml::node& node) {
  if (const auto* flag = node.as_boolean()) return ConfigValue{flag->get()};
  if (const auto* number = node.as_integer()) return ConfigValue{number->get()};
  if (const auto* number = node.as_floating_point()) return ConfigValue{number->get()};
  if (const auto* text = node.as_string()) return ConfigValue{text->get()};
  return std::nullopt;
}

std::optional<ConfigValue> value_of(const toml::node& node) {
  const toml::array* array = node.as_array();
  if (array == nullptr) return scalar(node);
  ConfigValue::List list;
  for (const toml::node& item : *array) {
    std::optional<ConfigValue> value = value_of(item);
    if (!value) return std::nullopt;
    list.push_back(std::move(*value));
  }
  return ConfigValue{std::move(list)};
}

struct Flattener {
  const std::string& origin;
  ConfigEntries entries = {};

  void add(const std::string& prefix, const toml::table& table) {
    for (const auto& [name, node] : table) {
      const std::string key = prefix + std::string(name.str());
      if (const toml::table* below = node.as_table()) {
        add(key + ".", *below);
        continue;
      }
      const std::string where = fmt::format("{}:{}", origin, node.source().begin.line);
      std::optional<ConfigValue> value = value_of(node);
      if (!value) {
        throw UserError(fmt::format(
            "{}: {} holds a date, time or table inside a list; write true, a number, \"text\" or "
            "a list of them",
            where, key));
      }
      entries[key] = {std::move(*value), where};
    }
  }
};

}  // namespace

ConfigEntries parse_toml(const std::string& text, const std::string& origin) {
  try {
    Flattener flattener{origin};
    flattener.add("", toml::parse(text));
    return flattener.entries;
  } catch (const toml::parse_error& error) {
    const toml::source_position at = error.source().begin;
    throw UserError(fmt::format("{}:{}:{}: {}", origin, at.line, at.column, error.description()));
  }
}

ConfigEntries parse_toml_file(const std::string& path) {
  std::ifstream file(path);
  if (!file || !std::filesystem::is_regular_file(path)) {
    throw UserError(fmt::format("{}: cannot be read; it must be a TOML file", path));
  }
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return parse_toml(text, path);
}

std::optional<ConfigValue> parse_toml_scalar(const std::string& text) {
  // A comment or a second line would be dropped without a word.
  const bool is_quoted = !text.empty() && (text.front() == '"' || text.front() == '\'');
  if (!is_quoted && text.find_first_of("#\n") != std::string::npos) return std::nullopt;
  try {
    const toml::table table = toml::parse("value = " + text);
    return table.size() == 1 ? scalar(*table.get("value")) : std::nullopt;
  } catch (const toml::parse_error&) {
    return std::nullopt;
  }
}

}  // namespace rondo
