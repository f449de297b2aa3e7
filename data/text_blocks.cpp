#include "data/text_blocks.h"

#include <algorithm>
#include <vector>

#include "data/utf8.h"

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

/// The last place in the block that is `offset` behind a `mark` and separable, or 0.
size_t last_separable(std::string_view text, char mark, size_t offset, const Tokenizer& tokenizer) {
  size_t before = block_bytes;
  for (int tries = 0; tries < most_tries && before > 0; ++tries) {
    const size_t at = text.rfind(mark, before - 1);
    if (at == std::string_view::npos) break;
    if (at + offset > 0 && is_separable(text, at + offset, tokenizer)) return at + offset;
    before = at;
  }
  return 0;
}

}  // namespace

std::string_view next_block(std::string_view text, const Tokenizer& tokenizer) {
  if (text.size() <= block_bytes) return text;
  if (const size_t cut = last_separable(text, '\n', 1, tokenizer)) return text.substr(0, cut);
  if (const size_t cut = last_separable(text, ' ', 0, tokenizer)) return text.substr(0, cut);
  const size_t line = text.substr(0, block_bytes).rfind('\n');
  if (line != std::string_view::npos) return text.substr(0, line + 1);
  return text.substr(0, character_boundary(text, block_bytes));
}

}  // namespace rondo
