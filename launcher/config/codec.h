// How the members of Config are read from and written to config values.
#pragma once

#include <fmt/format.h>

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "launcher/config/value.h"
#include "training/config.h"

namespace rondo {

/// What a value should have been; nothing when it is fine.
using Complaint = std::optional<std::string>;

inline Complaint read_value(const ConfigValue& value, bool& out) {
  const auto* flag = std::get_if<bool>(&value.data);
  if (flag == nullptr) return "expected true or false";
  out = *flag;
  return std::nullopt;
}

template <std::integral T>
Complaint read_value(const ConfigValue& value, T& out) {
  const auto* number = std::get_if<int64_t>(&value.data);
  if (number == nullptr) return "expected an integer";
  if (!std::in_range<T>(*number)) {
    return fmt::format("expected an integer {}", *number < 0 ? "from 0" : "of 31 bits");
  }
  out = static_cast<T>(*number);
  return std::nullopt;
}

inline Complaint read_value(const ConfigValue& value, double& out) {
  if (const auto* number = std::get_if<double>(&value.data)) {
    out = *number;
  } else if (const auto* whole = std::get_if<int64_t>(&value.data)) {
    out = static_cast<double>(*whole);
  } else {
    return "expected a number";
  }
  return std::nullopt;
}

inline Complaint read_value(const ConfigValue& value, std::string& out) {
  const auto* text = std::get_if<std::string>(&value.data);
  if (text == nullptr) return "expected text in \"quotes\"";
  out = *text;
  return std::nullopt;
}

/// optimizer.betas: two members, one key.
inline Complaint read_value(const ConfigValue& value, std::tuple<double&, double&>& out) {
  const auto* list = std::get_if<ConfigValue::List>(&value.data);
  const bool fits = list != nullptr && list->size() == 2 &&
                    !read_value((*list)[0], std::get<0>(out)) &&
                    !read_value((*list)[1], std::get<1>(out));
  if (!fits) return "expected a list of 2 numbers, such as [0.9, 0.95]";
  return std::nullopt;
}

inline Complaint read_value(const ConfigValue& value, std::vector<int>& out) {
  const auto* list = std::get_if<ConfigValue::List>(&value.data);
  out.resize(list == nullptr ? 0 : list->size());
  for (size_t i = 0; i < out.size(); ++i) {
    if (read_value((*list)[i], out[i])) list = nullptr;
    if (list == nullptr) break;
  }
  if (list == nullptr) return "expected a list of integers, such as [0, 1, 0, 1]";
  return std::nullopt;
}

/// data.blend: prefixes and weights in turn.
inline Complaint read_value(const ConfigValue& value, std::vector<BlendEntry>& out) {
  const auto* list = std::get_if<ConfigValue::List>(&value.data);
  bool fits = list != nullptr && list->size() % 2 == 0;
  out.resize(fits ? list->size() / 2 : 0);
  for (size_t i = 0; fits && i < out.size(); ++i) {
    fits =
        !read_value((*list)[2 * i], out[i].path) && !read_value((*list)[2 * i + 1], out[i].weight);
  }
  if (!fits) return "expected prefixes and weights in turn, such as [\"a\", 0.7, \"b\", 0.3]";
  return std::nullopt;
}

inline ConfigValue write_value(bool value) { return {value}; }
template <std::integral T>
ConfigValue write_value(T value) {
  return {static_cast<int64_t>(value)};
}
inline ConfigValue write_value(double value) { return {value}; }
inline ConfigValue write_value(const std::string& value) { return {value}; }
inline ConfigValue write_value(const std::tuple<const double&, const double&>& value) {
  return {ConfigValue::List{{std::get<0>(value)}, {std::get<1>(value)}}};
}
inline ConfigValue write_value(const std::vector<int>& value) {
  ConfigValue::List list;
  for (const int item : value) list.push_back(write_value(item));
  return {std::move(list)};
}
inline ConfigValue write_value(const std::vector<BlendEntry>& value) {
  ConfigValue::List list;
  for (const BlendEntry& entry : value) {
    list.push_back({entry.path});
    list.push_back({entry.weight});
  }
  return {std::move(list)};
}

}  // namespace rondo
