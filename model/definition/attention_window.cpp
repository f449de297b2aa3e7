#include "model/definition/attention_window.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/user_error.h"

namespace rondo {
namespace {

constexpr std::string_view from = "from:";

/// Layer l slides from `first` on, where the pattern's letter l, counted around, is s.
struct Rule {
  int64_t first = 0;
  std::string pattern = "s";

  bool slides(int64_t layer) const {
    return layer >= first && pattern[static_cast<size_t>(layer) % pattern.size()] == 's';
  }
};

std::optional<Rule> parse(const std::string& text) {
  if (text == "all") return Rule{};
  if (!text.starts_with(from)) {
    const bool letters = text.find_first_not_of("sf") == std::string::npos;
    return letters && !text.empty() ? std::optional(Rule{.pattern = text}) : std::nullopt;
  }
  Rule rule;
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data() + from.size(), end, rule.first);
  const bool whole = error == std::errc() && stopped == end && rule.first >= 0;
  return whole ? std::optional(rule) : std::nullopt;
}

}  // namespace

std::optional<std::vector<bool>> sliding_layers(const std::string& text, int64_t depth) {
  const std::optional<Rule> rule = parse(text);
  if (!rule || static_cast<int64_t>(rule->pattern.size()) > depth) return std::nullopt;
  std::vector<bool> slides;
  for (int64_t layer = 0; layer < depth; ++layer) slides.push_back(rule->slides(layer));
  const bool any = std::find(slides.begin(), slides.end(), true) != slides.end();
  return any ? std::optional(slides) : std::nullopt;
}

std::string window_layers_text(const std::vector<bool>& slides) {
  const auto first = std::find(slides.begin(), slides.end(), true);
  if (std::find(first, slides.end(), false) == slides.end()) {
    const auto full = first - slides.begin();
    return full == 0 ? "all" : fmt::format("{}{}", from, full);
  }
  std::string pattern;
  for (const bool slide : slides) {
    pattern += slide ? 's' : 'f';
    if (sliding_layers(pattern, static_cast<int64_t>(slides.size())) == slides) break;
  }
  return pattern;
}

int64_t window_of(const ModelSpec& model, int layer) {
  if (model.window == 0) return 0;
  const std::optional<Rule> rule = parse(model.window_layers);
  if (!rule) throw UserError("model." + *window_fault(model));
  return rule->slides(layer) ? model.window : 0;
}

std::optional<std::string> window_fault(const ModelSpec& model) {
  if (model.window < 0) return fmt::format("window = {} must be at least 0", model.window);
  if (model.window == 0 && model.window_layers != "all") {
    return fmt::format("window_layers = \"{}\" has no effect without model.window",
                       model.window_layers);
  }
  if (model.window == 0 || sliding_layers(model.window_layers, model.depth)) return std::nullopt;
  return fmt::format(
      "window_layers = \"{}\": expected all, from:K with K below the {} layers, or a pattern of s "
      "(slides) and f (full) of at most as many letters, like ssf",
      model.window_layers, model.depth);
}

double attended_tokens(const ModelSpec& model, int layer, int64_t sequence) {
  const int64_t window = window_of(model, layer);
  if (window == 0 || window >= sequence) return static_cast<double>(sequence);
  const auto w = static_cast<double>(window);
  return 2.0 * w - w * w / static_cast<double>(sequence);
}

}  // namespace rondo
