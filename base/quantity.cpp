#include "base/quantity.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <string_view>

namespace rondo {
namespace {

struct TimeUnit {
  char name;
  int64_t seconds;
};

constexpr std::array<TimeUnit, 4> time_units = {{{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}}};

}  // namespace

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

std::string four_digits(double value) {
  return std::abs(value) < 1e4 ? fmt::format("{:.4g}", value) : fmt::format("{:.0f}", value);
}

std::optional<int64_t> parse_duration(const std::string& text) {
  constexpr int64_t most = int64_t{1} << 40;  // no sum of a few overflows
  int64_t seconds = 0;
  const char* at = text.data();
  const char* const end = at + text.size();
  for (const auto& [name, size] : time_units) {
    int64_t count = 0;
    const auto [next, error] = std::from_chars(at, end, count);
    if (error != std::errc() || next == end || *next != name) continue;
    if (count < 0 || count > most / size) return std::nullopt;
    seconds += count * size;
    at = next + 1;
  }
  const bool whole = at == end && !text.empty();
  return whole ? std::optional(seconds) : std::nullopt;
}

std::string duration_text(int64_t seconds) {
  std::string text;
  for (const auto& [name, size] : time_units) {
    if (seconds >= size) text += fmt::format("{}{}", seconds / size, name);
    seconds %= size;
  }
  return text;
}

}  // namespace rondo
