#include "launcher/config/interpolate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/nearest.h"
#include "base/user_error.h"
#include "launcher/config/schema.h"

namespace rondo {
namespace {

class Interpolator {
 public:
  explicit Interpolator(const ConfigEntries& entries) : entries_(entries) {}

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
    if (const auto* text = std::get_if<std::string>(&value.data)) return replace_text(*text, where);
    const auto* list = std::get_if<ConfigValue::List>(&value.data);
    if (list == nullptr) return value;
    ConfigValue::List replaced;
    for (const ConfigValue& item : *list) replaced.push_back(replace(item, where));
    return {std::move(replaced)};
  }

  ConfigValue replace_text(const std::string& text, const std::string& where) {
    std::string out;
    size_t done = 0;
    for (size_t at = text.find("${"); at != std::string::npos; at = text.find("${", done)) {
      const size_t end = text.find('}', at);
      if (end == std::string::npos) {
        throw UserError(fmt::format("{}: '{}' has ${{ without }}", where, text));
      }
      const ConfigValue value = value_of(text.substr(at + 2, end - at - 2), where);
      if (at == 0 && end + 1 == text.size()) return value;
      out += text.substr(done, at - done) + plain_text(value);
      done = end + 1;
    }
    return {out + text.substr(done)};
  }

  const ConfigEntries& entries_;
  std::vector<std::string> open_;  ///< keys whose value is being made, outermost first
};

}  // namespace

ConfigEntries interpolate(const ConfigEntries& entries, const ConfigEntries& defaults) {
  ConfigEntries all = entries;
  all.insert(defaults.begin(), defaults.end());
  Interpolator interpolator(all);
  ConfigEntries replaced = entries;
  for (auto& [key, entry] : replaced) entry.value = interpolator.value_of(key, entry.where);
  return replaced;
}

}  // namespace rondo
