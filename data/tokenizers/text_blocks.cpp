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
  tokenizer.encode_on(text.substr(begin, cut - begin), apart);
  tokenizer.encode_on(text.substr(cut, end - cut), apart);
  tokenizer.encode_on(text.substr(begin, end - begin), together);
  return apart == together;
}

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// Not inside a run of white space, which may be one token.
bool is_behind_line(std::string_view text, size_t at) {
  return text[at - 1] == '\n' && !is_space(text[at]);
}

bool is_between_words(std::string_view text, size_t at) {
  return is_space(text[at]) && !is_space(text[at - 1]) && !is_space(text[at + 1]);
}

/// The last place of its kind in [first, end) that is separable, or 0.
size_t last_separable(std::string_view text, size_t first, size_t end,
                      bool (*is_place)(std::string_view, size_t), const Tokenizer& tokenizer) {
  int tries = 0;
  for (size_t at = end - 1; at >= first && tries < most_tries; --at) {
    if (!is_place(text, at)) continue;
    if (is_separable(text, at, tokenizer)) return at;
    ++tries;
  }
  return 0;
}

}  // namespace

std::string_view next_block(std::string_view text, const Tokenizer& tokenizer) {
  size_t first = 1;
  for (size_t end = block_bytes; end < text.size(); end *= 2) {
    size_t cut = 0;
    if (!tokenizer.joins_lines) cut = last_separable(text, first, end, is_behind_line, tokenizer);
    if (cut == 0 && !tokenizer.joins_words) {
      cut = last_separable(text, first, end, is_between_words, tokenizer);
    }
    if (cut > 0) return text.substr(0, cut);
    first = end;
  }
  return text;
}

void encode_text(
    std::string_view text, const Tokenizer& tokenizer,
    const std::function<void(std::string_view block, const std::vector<int64_t>& tokens)>& sink) {
  std::vector<int64_t> tokens;
  for (bool first = true; !text.empty(); first = false) {
    const std::string_view block = next_block(text, tokenizer);
    tokens.clear();
    (first ? tokenizer.encode : tokenizer.encode_on)(block, tokens);
    sink(block, tokens);
    text.remove_prefix(block.size());
  }
}

}  // namespace rondo
