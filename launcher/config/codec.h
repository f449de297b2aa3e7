// How the members of Config are read from and written to config values.
#pragma once

#include <fmt/format.h>

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "launcher/config/value.h"

namespace rondo {

/// What a value should have been; nothing when it is fine.
using Complaint = std::optional<std::string>;

/// The type of a member as messages and the reference name it.
template <typename T>
std::string type_name(std::type_identity<T>) {
  if constexpr (std::is_same_v<T, bool>) return "true or false";
  if constexpr (std::is_integral_v<T>) return "an integer";
  if constexpr (std::is_floating_point_v<T>) return "a number";
  return "text";
}
inline std::string type_name(std::type_identity<std::vector<int>>) { return "a list of integers"; }

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
  if (text == nullptr && value.typed.empty()) return "expected text in \"quotes\"";
  out = text == nullptr ? value.typed : *text;
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

inline ConfigValue write_value(bool value) { return {value}; }
template <std::integral T>
ConfigValue write_value(T value) {
  return {static_cast<int64_t>(value)};
}
inline ConfigValue write_value(double value) { return {value}; }
inline ConfigValue write_value(const std::string& value) { return {value}; }
inline ConfigValue write_value(const std::vector<int>& value) {
  ConfigValue::List list;
  for (const int item : value) list.push_back(write_value(item));
  return {std::move(list)};
}

}  // namespace rondo
