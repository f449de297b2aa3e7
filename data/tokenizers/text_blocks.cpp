#include "data/tokenizers/text_blocks.h"

#include <algorithm>
#include <vector>

#include "data/tokenizers/utf8.h"

namespace rondo {
namespace {

/// So much text on each side decides; few words reach further.
constexpr size_t window_bytes = 128;
/// Keeps the time for models that show no such place at an eighth of that for the encoding.
constexpr int most_tries = 8;

bool is_separable(std::string_view text, size_t cut, const Tokenizer& tokenizer) {
  const size_t begin = character_boundary(text, cut - std::min(cut, window_bytes));
  const size_t end = character_boundary(text, std::min(cut + window_bytes, text.size()));
  std::vector<int64_t> apart;
  std::vector<int64_t> together;
  tokenizer.encode(text.substr(begin, cut - begin), apart);
  tokenizer.encode(text.substr(cut, end - cut), apart);
  tokenizer.encode(text.substr(begin, end - begin), together);
  return apart == together;
}

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool is_behind_line(std::string_view text, size_t at) { return text[at - 1] == '\n'; }

bool is_between_words(std::string_view text, size_t at) {
  return text[at] == ' ' && !is_space(text[at - 1]) && !is_space(text[at + 1]);
}

/// The last place of its kind in the block that is separable, or 0.
size_t last_separable(std::string_view text, bool (*is_place)(std::string_view, size_t),
                      const Tokenizer& tokenizer) {
  int tries = 0;
  for (size_t at = block_bytes - 1; at > 0 && tries < most_tries; --at) {
    if (!is_place(text, at)) continue;
    if (is_separable(text, at, tokenizer)) return at;
    ++tries;
  }
  return 0;
}

}  // namespace

std::string_view next_block(std::string_view text, const Tokenizer& tokenizer) {
  if (text.size() <= block_bytes) return text;
  for (const auto is_place : {is_behind_line, is_between_words}) {
    if (const size_t cut = last_separable(text, is_place, tokenizer)) return text.substr(0, cut);
  }
  const size_t line = text.substr(0, block_bytes).rfind('\n');
  if (line != std::string_view::npos) return text.substr(0, line + 1);
  return text.substr(0, character_boundary(text, block_bytes));
}

}  // namespace rondo
