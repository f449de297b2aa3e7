#include "data/tokenizers/pattern.h"

#include <fmt/format.h>

#include <string>

#include "data/tokenizers/utf8.h"

namespace rondo {
namespace {

/// Joined to one expression below: a letter by its escape or its category, a class, another letter.
constexpr const char* escape =
    R"(\\(?:[sSdrnt]|[pP]\{[A-Z][a-z]?\}|[!"#$%&()*+,\-./:;=?@\[\\\]^_{|}~]))";
constexpr const char* in_class = R"([^\\\[\]&]|&(?!&))";
constexpr const char* letter = R"([^\\()\[\]{}^$.?*+|])";
/// Ruby's syntax takes {2}+ and {2}? for repetitions of a repetition.
constexpr const char* repetition = R"((?:[?*+][?+]?|\{\d+(?:,\d*)?\})(?![?*+{]))";
/// Without regard to case Oniguruma also matches two letters with one, such as ss with ß. The
/// contractions of English have none of those.
constexpr const char* contractions =
    R"(i:(?=(?:'s\|'t\|'re\|'ve\|'m\|'ll\|'d|'\(\?:\[sdmt\]\|ll\|ve\|re\))\)))";

std::string common_expressions() {
  const std::string one =
      fmt::format(R"(\)|{}|\[\^?(?:{}|{})+\]|{})", escape, escape, in_class, letter);
  const std::string open = fmt::format(R"(\((?!\?)|\(\?(?:[:=!]|{}))", contractions);
  return fmt::format(R"(\A(?:(?:{})(?:{})?|{}|\|)*\z)", one, repetition, open);
}

}  // namespace

bool is_common(std::string_view expression) {
  static const FindMatch find = compile_pcre2(common_expressions());
  return find(expression, 0).has_value();
}

Pattern::Pattern(std::string_view expression)
    : find_(is_common(expression) ? compile_pcre2(expression) : compile_oniguruma(expression)) {}

Pattern Pattern::literal(std::string_view text) {
  return Pattern(FindMatch(
      [wanted = std::string(text)](std::string_view in, size_t from) -> std::optional<Match> {
        const size_t at = in.find(wanted, from);
        if (at == std::string_view::npos) return std::nullopt;
        return Match{at, at + wanted.size()};
      }));
}

void Pattern::split(std::string_view text,
                    const std::function<void(std::string_view, bool)>& piece) const {
  size_t done = 0;
  const auto cut = [&](size_t at, bool is_match) {
    if (at > done || is_match) piece(text.substr(done, at - done), is_match);
    done = at;
  };
  for (size_t from = 0; from < text.size();) {
    const std::optional<Match> match = find_(text, from);
    if (!match) break;
    cut(match->begin, false);
    cut(match->end, true);
    if (match->end == text.size()) break;
    const bool empty = match->begin == match->end;
    from = match->end + (empty ? character_size(text.substr(match->end)) : 0);
  }
  cut(text.size(), false);
}

}  // namespace rondo
