// Tokens of files, for comparison with other readers of tokenizer.json:
//   tokenize KIND FILE TEXT…
// prints one line for each TEXT: its ids, a tab, and in hexadecimal what they decode to.
#include <fmt/format.h>

#include <iostream>

#include "base/mapped_file.h"
#include "data/tokenizers/text_blocks.h"
#include "data/tokenizers/tokenizer.h"

int main(int count, char** words) {
  using namespace rondo;
  if (count < 3) return 2;
  const Tokenizer tokenizer =
      open_tokenizer({words[1], std::string(MappedFile(words[2]).view())}, words[2]);
  for (int word = 3; word < count; ++word) {
    std::vector<int64_t> tokens;
    const MappedFile file(words[word]);
    encode_text(file.view(), tokenizer, [&](std::string_view, const std::vector<int64_t>& block) {
      tokens.insert(tokens.end(), block.begin(), block.end());
    });
    std::string line = fmt::format("{}\t", fmt::join(tokens, " "));
    for (const char c : tokenizer.decode(tokens)) {
      line += fmt::format("{:02x}", static_cast<unsigned char>(c));
    }
    std::cout << line << "\n";
  }
}
