#include "base/number_runs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace rondo {

std::string number_runs(const std::vector<int>& numbers, const char* separator) {
  std::vector<std::string> parts;
  for (size_t i = 0; i < numbers.size();) {
    size_t end = i + 1;
    while (end < numbers.size() && numbers[end] == numbers[end - 1] + 1) ++end;
    parts.push_back(end == i + 1 ? fmt::format("{}", numbers[i])
                                 : fmt::format("{}-{}", numbers[i], numbers[end - 1]));
    i = end;
  }
  return fmt::format("{}", fmt::join(parts, separator));
}

}  // namespace rondo
