// Values that would do, near to one that does not: what a refusal proposes.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace rondo {

/// The numbers from 1 to `most` next to `value` that fit: "2 or 4", "4", or empty.
template <typename Fits>
std::string near_that(int64_t value, int64_t most, Fits fits) {
  int64_t below = std::min(value, most);
  while (below > 0 && !fits(below)) --below;
  int64_t above = std::max<int64_t>(value, 1);
  while (above <= most && !fits(above)) ++above;
  std::vector<int64_t> near;
  if (below > 0) near.push_back(below);
  if (above <= most && above != below) near.push_back(above);
  return fmt::format("{}", fmt::join(near, " or "));
}

/// The divisors of `number` next to `value`: "2 or 4".
inline std::string near_divisors(int64_t number, int64_t value) {
  return near_that(value, number, [=](int64_t divisor) { return number % divisor == 0; });
}

/// The positive multiples of `unit` next to `value`: "8 or 12".
inline std::string near_multiples(int64_t unit, int64_t value) {
  const int64_t below = value / unit * unit;
  if (below == 0) return fmt::format("{}", unit);
  return fmt::format("{} or {}", below, below + unit);
}

}  // namespace rondo
