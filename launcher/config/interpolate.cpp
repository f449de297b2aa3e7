#include "launcher/config/interpolate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>

#include "base/nearest.h"
#include "base/user_error.h"
#include "launcher/config/schema.h"
#include "launcher/config/toml.h"

namespace rondo {
namespace {

/// `value` with every text in it, also within lists, replaced.
template <typename Replace>
ConfigValue in_texts(const ConfigValue& value, Replace replace) {
  if (const auto* text = std::get_if<std::string>(&value.data)) return replace(*text);
  const auto* list = std::get_if<ConfigValue::List>(&value.data);
  if (list == nullptr) return value;
  ConfigValue::List replaced;
  for (const ConfigValue& item : *list) replaced.push_back(in_texts(item, replace));
  return {std::move(replaced)};
}

std::string replace_all(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

class Interpolator {
 public:
  Interpolator(const ConfigEntries& entries, const Surroundings& around)
      : entries_(entries), around_(around) {}

  /// The value of `key` without references; `asker` is the place that wants it.
  ConfigValue value_of(const std::string& key, const std::string& asker) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) {
      std::vector<std::string> keys;
      for (const auto& [name, entry] : entries_) keys.push_back(name);
      const std::optional<std::string> meant = near(key, keys);
      throw UserError(fmt::format(
          "{}: ${{{}}} is not a key{}", asker, key,
          meant ? fmt::format("; did you mean ${{{}}}?", *meant) : std::string(list_keys_with)));
    }
    if (std::find(open_.begin(), open_.end(), key) != open_.end()) {
      throw UserError(fmt::format("{}: interpolation cycle {} -> {}; give one of them a value",
                                  asker, fmt::join(open_, " -> "), key));
    }
    open_.push_back(key);
    ConfigValue value = replace(found->second.value, found->second.where);
    open_.pop_back();
    return value;
  }

 private:
  ConfigValue replace(const ConfigValue& value, const std::string& where) {
    return in_texts(value, [&](const std::string& text) { return replace_text(text, where); });
  }

  ConfigValue replace_text(const std::string& text, const std::string& where) {
    std::string out;
    size_t done = 0;
    for (size_t at = text.find("${"); at != std::string::npos; at = text.find("${", done)) {
      if (at > done && text[at - 1] == '\\') {
        out += text.substr(done, at - 1 - done) + "${";
        done = at + 2;
        continue;
      }
      const size_t end = text.find('}', at);
      if (end == std::string::npos) {
        throw UserError(fmt::format("{}: '{}' has ${{ without }}", where, text));
      }
      const ConfigValue value = referred(text.substr(at + 2, end - at - 2), where);
      if (at == 0 && end + 1 == text.size()) return value;
      out += text.substr(done, at - done) + plain_text(value);
      done = end + 1;
    }
    return {out + text.substr(done)};
  }

  /// What `${name}` stands for.
  ConfigValue referred(const std::string& name, const std::string& where) {
    constexpr std::string_view environment = "oc.env:";
    constexpr std::string_view time = "now:";
    if (name.starts_with(environment)) return variable(name.substr(environment.size()), where);
    if (name.starts_with(time)) return {date(name.substr(time.size()), where)};
    return value_of(name, where);
  }

  /// A value of the environment is read as one of the command line is: "3" is a number.
  static ConfigValue variable(const std::string& text, const std::string& where) {
    const size_t comma = text.find(',');
    const std::string name = text.substr(0, comma);
    const char* set = std::getenv(name.c_str());
    if (set == nullptr && comma == std::string::npos) {
      throw UserError(fmt::format(
          "{}: the environment variable {} is not set; set it, or write ${{oc.env:{},default}}",
          where, name, name));
    }
    const std::string value = set != nullptr ? set : text.substr(comma + 1);
    if (std::optional<ConfigValue> scalar = parse_toml_scalar(value)) {
      if (!std::holds_alternative<std::string>(scalar->data)) scalar->typed = value;
      return *scalar;
    }
    return {value};
  }

  /// Conversions as strftime has them; glibc would leave one that it does not know as it is.
  std::string date(const std::string& format, const std::string& where) const {
    constexpr std::string_view known = "aAbBcCdDeFgGhHIjmMnprRsStTuUVwWxXyYzZ%";
    for (size_t at = format.find('%'); at != std::string::npos; at = format.find('%', at + 2)) {
      const std::string conversion = format.substr(at, 2);
      if (conversion.size() == 2 && known.find(conversion[1]) != std::string_view::npos) continue;
      throw UserError(
          fmt::format("{}: ${{now:{}}}: there is no '{}'; year, month and day are %Y-%m-%d, the "
                      "time is %H-%M-%S",
                      where, format, conversion));
    }
    std::tm local{};
    localtime_r(&around_.now, &local);
    std::array<char, 256> text{};
    return {text.data(), std::strftime(text.data(), text.size(), format.c_str(), &local)};
  }

  const ConfigEntries& entries_;
  const Surroundings& around_;
  std::vector<std::string> open_;  ///< keys whose value is being made, outermost first
};

}  // namespace

ConfigEntries interpolate(const ConfigEntries& entries, const ConfigEntries& defaults,
                          const Surroundings& around) {
  ConfigEntries all = entries;
  all.insert(defaults.begin(), defaults.end());
  Interpolator interpolator(all, around);
  ConfigEntries replaced = entries;
  for (auto& [key, entry] : replaced) entry.value = interpolator.value_of(key, entry.where);
  return replaced;
}

ConfigValue escape_references(const ConfigValue& value) {
  return in_texts(value, [](const std::string& text) -> ConfigValue {
    return {replace_all(text, "${", "\\${")};
  });
}

ConfigValue unescape_references(const ConfigValue& value) {
  return in_texts(value, [](const std::string& text) -> ConfigValue {
    return {replace_all(text, "\\${", "${")};
  });
}

}  // namespace rondo
