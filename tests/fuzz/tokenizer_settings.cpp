// The files of a model folder that make up its tokenizer: an input is their texts with a zero byte
// between each and the next.
#include <array>

#include "checkpoint/huggingface/hf_tokenizer_file.h"
#include "data/tokenizers/tokenizer.h"
#include "tests/fuzz/fuzz.h"

namespace rondo {
namespace {

constexpr std::array names = {"vocab.json",
                              "merges.txt",
                              "tokenizer_config.json",
                              "added_tokens.json",
                              "special_tokens_map.json",
                              "generation_config.json",
                              "tokenizer.json"};

void write_files(std::string_view texts) {
  for (const char* name : names) {
    const std::string_view text = texts.substr(0, texts.find('\0'));
    texts.remove_prefix(std::min(texts.size(), text.size() + 1));
    std::filesystem::remove(fuzz_folder().file(name));
    if (!text.empty()) write_file(fuzz_folder().file(name), std::string(text));
  }
}

}  // namespace

void read_input(std::string_view bytes) {
  write_files(bytes);
  takes([&] {
    const auto stored = read_hugging_face_tokenizer(fuzz_folder().path());
    if (stored) open_tokenizer({stored->kind, stored->contents}, "folder");
  });
}

}  // namespace rondo
