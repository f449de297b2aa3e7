#include "base/quantity.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>

namespace rondo {

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds)) {
    return "?";
  }
  if (seconds < 10) {
    return fmt::format("{:.1f}s", seconds);
  }
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  struct Unit {
    int64_t size;
    std::string_view name, part_name;
    int64_t part;
  };
  static constexpr std::array<Unit, 3> units = {
      {{86400, "d", "h", 3600}, {3600, "h", "m", 60}, {60, "m", "s", 1}}};
  for (const Unit& unit : units) {
    if (whole >= unit.size) {
      return fmt::format("{}{} {:02}{}", whole / unit.size, unit.name,
                         whole % unit.size / unit.part, unit.part_name);
    }
  }
  return fmt::format("{}s", whole);
}

std::string format_si(double value) {
  if (!std::isfinite(value)) {
    return "?";
  }
  static constexpr std::array<std::string_view, 6> prefixes = {"", "k", "M", "G", "T", "P"};
  size_t prefix = 0;
  // 999.5 is where three digits would round to four.
  while (std::abs(value) >= 999.5 && prefix + 1 < prefixes.size()) {
    value /= 1000;
    ++prefix;
  }
  return fmt::format("{:.3g}{}", value, prefixes[prefix]);
}

}  // namespace rondo
