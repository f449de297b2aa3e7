#include "base/nearest.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <optional>
#include <tuple>

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

/// What stands after the last dot of a key; all of a word without one.
std::string leaf(const std::string& key) { return key.substr(key.rfind('.') + 1); }

/// Insertions and the like between two words that may be keys: a right leaf in a wrong table is one
/// slip.
size_t slips(const std::string& word, const std::string& candidate) {
  return std::min(edit_distance(word, candidate), edit_distance(leaf(word), leaf(candidate)) + 1);
}

/// What other programs call the same thing.
const std::map<std::string, std::string>& other_names() {
  static const std::map<std::string, std::string> names = {
      {"bf16", "bfloat16"}, {"fp16", "bfloat16"},  {"float16", "bfloat16"}, {"half", "bfloat16"},
      {"fp32", "float32"},  {"float", "float32"},  {"single", "float32"},   {"fp64", "float64"},
      {"f32", "float32"},   {"double", "float64"}, {"f64", "float64"}};
  return names;
}

/// The candidate that another program calls `word`.
std::optional<std::string> own_name(const std::string& word,
                                    const std::vector<std::string>& candidates) {
  const auto other = other_names().find(word);
  const bool known = other != other_names().end() && std::find(candidates.begin(), candidates.end(),
                                                               other->second) != candidates.end();
  return known ? std::optional(other->second) : std::nullopt;
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
  if (const auto own = own_name(word, candidates)) return *own;
  const auto distance = [&](const std::string& candidate) {
    const double apart = difference(word, candidate).value_or(0.0);
    return std::tuple(apart, slips(word, candidate), edit_distance(word, candidate));
  };
  const auto best =
      std::min_element(candidates.begin(), candidates.end(),
                       [&](const auto& a, const auto& b) { return distance(a) < distance(b); });
  return best == candidates.end() ? "" : *best;
}

std::optional<std::string> near(const std::string& word,
                                const std::vector<std::string>& candidates) {
  const std::string best = nearest(word, candidates);
  const std::string asked = leaf(word);
  const std::string found = leaf(best);
  const size_t letters = std::min(asked.size(), found.size());
  const bool begins = letters >= 3 && (asked.starts_with(found) || found.starts_with(asked));
  const size_t bearable = std::max<size_t>(1, letters / 3);
  const bool is_near =
      own_name(word, candidates) || difference(word, best) || begins || asked == found ||
      (letters > 1 && std::min(edit_distance(word, best), edit_distance(asked, found)) <= bearable);
  return is_near && !best.empty() ? std::optional(best) : std::nullopt;
}

std::string did_you_mean(const std::string& word, const std::vector<std::string>& candidates,
                         const std::string& before) {
  const std::optional<std::string> found = near(word, candidates);
  return found ? fmt::format("{}did you mean {}?", before, *found) : "";
}

std::string choice_among(const std::string& word, const std::vector<std::string>& candidates) {
  const std::string guess = did_you_mean(word, candidates);
  return fmt::format("{}{}possible: {}", guess, guess.empty() ? "" : " ",
                     fmt::join(candidates, ", "));
}

}  // namespace rondo
