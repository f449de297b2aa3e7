#include "launcher/config/override.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

#include "base/user_error.h"
#include "launcher/config/compose.h"
#include "launcher/config/toml.h"

namespace rondo {
namespace {

std::string trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t\n");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\n") - first + 1);
}

/// Splits at the commas that stand outside of quotes and brackets; the parts are trimmed.
std::vector<std::string> split(const std::string& text, const std::string& where) {
  std::vector<std::string> parts(1);
  char quote = 0;
  int depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool starts_part = trimmed(parts.back()).empty();
    const size_t closed =
        quote == 0 && text.compare(i, 2, "${") == 0 ? text.find('}', i) : std::string::npos;
    if (closed != std::string::npos) {  // a reference is one piece, commas and all
      parts.back() += text.substr(i, closed - i + 1);
      i = closed;
      continue;
    }
    if (quote != 0) {
      if (c == quote) quote = 0;
      if (c == '\\' && quote == '"' && i + 1 < text.size()) parts.back() += text[i++];
    } else if ((c == '"' || c == '\'') && (starts_part || depth > 0)) {
      quote = c;
    } else if (c == '[') {
      ++depth;
    } else if (c == ']' && --depth < 0) {
      break;
    } else if (c == ',' && depth == 0) {
      parts.emplace_back();
      continue;
    }
    parts.back() += text[i];
  }
  if (quote != 0) throw UserError(fmt::format("{}: the quote {} is not closed", where, quote));
  if (depth != 0) throw UserError(fmt::format("{}: brackets [ ] do not match", where));
  for (std::string& part : parts) part = trimmed(part);
  return parts;
}

ConfigValue read_value(const std::string& text, const std::string& where);

ConfigValue read_list(const std::string& text, const std::string& where) {
  std::vector<std::string> parts = split(text.substr(1, text.size() - 2), where);
  if (parts.back().empty()) parts.pop_back();  // [] and, as in TOML, a comma at the end
  ConfigValue::List list;
  for (const std::string& part : parts) list.push_back(read_value(part, where));
  return {std::move(list)};
}

ConfigValue read_value(const std::string& text, const std::string& where) {
  if (text.starts_with('[') && text.ends_with(']')) return read_list(text, where);
  if (std::optional<ConfigValue> scalar = parse_toml_scalar(text)) {
    if (!std::holds_alternative<std::string>(scalar->data)) scalar->typed = text;
    return *scalar;
  }
  if (text.find_first_of("[]") != std::string::npos || text.starts_with('"') ||
      text.starts_with('\'')) {
    throw UserError(fmt::format(
        "{}: {} is not a TOML value; put text with brackets or quotes between \"quotes\"", where,
        text));
  }
  return {text};
}

}  // namespace

Override parse_override(const std::string& text) {
  const std::string where = fmt::format("override '{}'", text);
  const size_t equals = text.find('=');
  const bool deletes = text.starts_with('~');
  // Every key of the schema exists already, so that Hydra's "add" means the same as "set".
  const size_t start = text.find_first_not_of(deletes ? "~" : "+");
  const bool has_key = start != std::string::npos && start <= 2 && start < equals;
  if (!has_key || deletes != (equals == std::string::npos)) {
    throw UserError(fmt::format(
        "{}: write group=option, table.key=value, +table.key=value or ~table.key", where));
  }
  if (deletes) return {trimmed(text.substr(start)), "", true, where};
  return {trimmed(text.substr(start, equals - start)), trimmed(text.substr(equals + 1)), false,
          where};
}

ConfigValue override_value(const Override& override) {
  if (split(override.value, override.where).size() > 1) {
    throw UserError(
        fmt::format("{}: several values; write a list [{}], or add --multirun for a run of each",
                    override.where, override.value));
  }
  return read_value(override.value, override.where);
}

namespace {

/// What stands between the brackets of `name(…)`; nothing for another text.
std::optional<std::string> inside(const Override& override, const std::string& name) {
  const std::string& text = override.value;
  if (!text.starts_with(name + "(")) return std::nullopt;
  if (!text.ends_with(')')) {
    throw UserError(
        fmt::format("{}: {}( is not closed; put ')' at the end, or quotes around what "
                    "is meant as text",
                    override.where, name));
  }
  return text.substr(name.size() + 1, text.size() - name.size() - 2);
}

double number_of(const ConfigValue& value, const std::string& where) {
  double number = 0;
  if (const auto* whole = std::get_if<int64_t>(&value.data)) {
    number = static_cast<double>(*whole);
  } else if (const auto* real = std::get_if<double>(&value.data)) {
    number = *real;
  } else {
    throw UserError(fmt::format("{}: {} is no number", where, toml_literal(value)));
  }
  return number;
}

/// range(start, stop) or range(start, stop, step): without stop, as in Hydra.
std::vector<std::string> values_of_range(const std::string& text, const std::string& where) {
  std::vector<ConfigValue> numbers;
  for (const std::string& part : split(text, where)) numbers.push_back(read_value(part, where));
  if (numbers.size() == 2) numbers.push_back({int64_t{1}});
  if (numbers.size() != 3)
    throw UserError(where + ": write range(start, stop) or range(start, stop, step)");
  const bool whole = std::all_of(numbers.begin(), numbers.end(), [](const ConfigValue& value) {
    return std::holds_alternative<int64_t>(value.data);
  });
  const double start = number_of(numbers[0], where);
  const double step = number_of(numbers[2], where);
  constexpr double most = 10000;  // a slip of the step would fill the memory
  const double count = std::ceil((number_of(numbers[1], where) - start) / step - 1e-9);
  if (!(count >= 1 && count <= most)) {
    throw UserError(fmt::format("{}: the range has no values, or more than {}", where, most));
  }
  std::vector<std::string> values;
  for (int i = 0; i < static_cast<int>(count); ++i) {
    const double value = start + i * step;
    values.push_back(whole ? fmt::format("{}", std::llround(value)) : toml_literal({value}));
  }
  return values;
}

/// The values of a sweep: "1,2", "choice(1,2)" or "range(1,3)". One value is itself.
std::vector<std::string> sweep_values(const Override& override) {
  if (const auto range = inside(override, "range")) {
    return values_of_range(*range, override.where);
  }
  const std::optional<std::string> choice = inside(override, "choice");
  return split(choice.value_or(override.value), override.where);
}

}  // namespace

std::vector<std::vector<std::string>> expand_multirun(const std::vector<std::string>& overrides) {
  std::vector<std::vector<std::string>> runs(1);
  for (const std::string& text : overrides) {
    const Override override = parse_override(text);
    std::vector<std::string> choices = {text};
    const std::vector<std::string> values = sweep_values(override);
    if (values.size() > 1 || (values.size() == 1 && values[0] != override.value)) {
      choices.clear();
      for (const std::string& value : values) {
        if (value.empty()) throw UserError(override.where + ": a value between commas is empty");
        choices.push_back(text.substr(0, text.find('=') + 1) + value);
      }
    }
    std::vector<std::vector<std::string>> longer;
    for (const std::vector<std::string>& run : runs) {
      for (const std::string& choice : choices) {
        longer.push_back(run);
        longer.back().push_back(choice);
      }
    }
    runs = std::move(longer);
  }
  return runs;
}

}  // namespace rondo
