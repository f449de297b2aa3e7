// A tokenizer.json, and what it makes of a text.
#include <stdexcept>
#include <vector>

#include "data/tokenizers/hf_tokenizer.h"
#include "tests/fuzz/fuzz.h"

namespace rondo {

void read_input(std::string_view bytes) {
  takes([&] {
    const Tokenizer tokenizer = open_hf_tokenizer(bytes, "tokenizer.json");
    std::vector<int64_t> tokens;
    tokenizer.encode("The café's 12 cats\n\tsat.", tokens);
    for (const int64_t token : tokens) require(0 <= token && token < tokenizer.vocab);
    tokenizer.decode(tokens);
  });
}

}  // namespace rondo
