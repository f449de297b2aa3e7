// Integers in JSON that others wrote.
#pragma once

#include <concepts>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

namespace rondo {

/// Whether `value` is an integer within the type.
template <std::integral Integer = int64_t, typename Json>
bool is_json_integer(const Json& value) {
  if (value.is_number_unsigned()) return std::in_range<Integer>(value.template get<uint64_t>());
  return value.is_number_integer() && std::in_range<Integer>(value.template get<int64_t>());
}

/// That integer. nlohmann's own conversion takes any number: a fraction, and what is beyond the
/// type, become some integer. Throws std::invalid_argument.
template <std::integral Integer = int64_t, typename Json>
Integer json_integer(const Json& value) {
  if (is_json_integer<Integer>(value)) return value.template get<Integer>();
  throw std::invalid_argument(value.dump(-1, ' ', false, Json::error_handler_t::replace) +
                              " stands where an integer belongs, or is beyond its range");
}

}  // namespace rondo
