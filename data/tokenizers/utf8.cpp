#include "data/tokenizers/utf8.h"

#include <algorithm>
#include <array>

namespace rondo {
namespace {

/// Lead bytes first … last are followed by `continuations` bytes, the first of them in low … high
/// and the others in 80 … BF.
struct Form {
  unsigned char first, last;
  size_t continuations;
  unsigned char low, high;
};

constexpr std::array<Form, 9> forms = {{{0x00, 0x7F, 0, 0x80, 0xBF},
                                        {0xC2, 0xDF, 1, 0x80, 0xBF},
                                        {0xE0, 0xE0, 2, 0xA0, 0xBF},
                                        {0xE1, 0xEC, 2, 0x80, 0xBF},
                                        {0xED, 0xED, 2, 0x80, 0x9F},
                                        {0xEE, 0xEF, 2, 0x80, 0xBF},
                                        {0xF0, 0xF0, 3, 0x90, 0xBF},
                                        {0xF1, 0xF3, 3, 0x80, 0xBF},
                                        {0xF4, 0xF4, 3, 0x80, 0x8F}}};

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

constexpr std::array<std::string_view, 25> spaces = {
    "\t",     "\n",     "\v",     "\f",     "\r",     " ",      "\u0085", "\u00A0", "\u1680",
    "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006", "\u2007", "\u2008",
    "\u2009", "\u200A", "\u2028", "\u2029", "\u202F", "\u205F", "\u3000"};

}  // namespace

size_t character_size(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const auto form = std::find_if(forms.begin(), forms.end(),
                                 [&](const Form& f) { return lead >= f.first && lead <= f.last; });
  if (form == forms.end() || text.size() <= form->continuations) return 0;
  const std::string_view rest = text.substr(1, form->continuations);
  if (!std::all_of(rest.begin(), rest.end(), is_continuation)) return 0;
  if (!rest.empty()) {
    const auto second = static_cast<unsigned char>(rest[0]);
    if (second < form->low || second > form->high) return 0;
  }
  return 1 + form->continuations;
}

std::optional<size_t> first_invalid_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const size_t size = character_size(text.substr(at));
    if (size == 0) return at;
    at += size;
  }
  return std::nullopt;
}

size_t leading_space(std::string_view text) {
  size_t size = 0;
  for (;;) {
    const std::string_view rest = text.substr(size);
    const auto space = std::find_if(spaces.begin(), spaces.end(),
                                    [&](std::string_view s) { return rest.starts_with(s); });
    if (space == spaces.end()) return size;
    size += space->size();
  }
}

size_t trailing_space(std::string_view text) {
  size_t size = 0;
  for (;;) {
    const std::string_view rest = text.substr(0, text.size() - size);
    const auto space = std::find_if(spaces.begin(), spaces.end(),
                                    [&](std::string_view s) { return rest.ends_with(s); });
    if (space == spaces.end()) return size;
    size += space->size();
  }
}

size_t character_boundary(std::string_view text, size_t at) {
  // A character has at most three continuation bytes; more are no text, and any place will do.
  for (size_t back = 0; back < 4 && back <= at; ++back) {
    if (at - back == text.size() || !is_continuation(text[at - back])) return at - back;
  }
  return at;
}

}  // namespace rondo
