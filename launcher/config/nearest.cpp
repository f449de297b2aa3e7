#include "launcher/config/nearest.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <optional>
#include <tuple>

#include "launcher/config/value.h"

namespace rondo {
namespace {

/// Optimal string alignment distance: inserted, deleted, replaced or swapped neighbours cost 1.
size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::vector<size_t>> cost(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replace = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, replace});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

/// What other programs call the same thing.
const std::map<std::string, std::string>& other_names() {
  static const std::map<std::string, std::string> names = {
      {"bf16", "bfloat16"}, {"fp16", "bfloat16"},  {"float16", "bfloat16"}, {"half", "bfloat16"},
      {"fp32", "float32"},  {"float", "float32"},  {"single", "float32"},   {"fp64", "float64"},
      {"f32", "float32"},   {"double", "float64"}, {"f64", "float64"}};
  return names;
}

/// The whole of `text` as a number.
std::optional<double> number_in(const std::string& text) {
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  return !text.empty() && *end == '\0' ? std::optional(number) : std::nullopt;
}

/// Numbers are near by their difference: none when not all are numbers.
std::optional<double> difference(const std::string& a, const std::string& b) {
  const std::optional<double> x = number_in(a);
  const std::optional<double> y = number_in(b);
  return x && y ? std::optional(std::abs(*x - *y)) : std::nullopt;
}

}  // namespace

std::string nearest(const std::string& word, const std::vector<std::string>& candidates) {
  const auto other = other_names().find(word);
  const bool known = other != other_names().end() && std::find(candidates.begin(), candidates.end(),
                                                               other->second) != candidates.end();
  if (known) return other->second;
  const auto distance = [&](const std::string& candidate) {
    const double apart = difference(word, candidate).value_or(0.0);
    const size_t whole = edit_distance(word, candidate);
    const size_t leaf = edit_distance(leaf_of(word), leaf_of(candidate)) + 1;
    return std::tuple(apart, std::min(whole, leaf), whole);
  };
  const auto best =
      std::min_element(candidates.begin(), candidates.end(),
                       [&](const auto& a, const auto& b) { return distance(a) < distance(b); });
  return best == candidates.end() ? "" : *best;
}

}  // namespace rondo
