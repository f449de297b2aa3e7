#include "checkpoint/huggingface/hf_files.h"

#include <array>
#include <filesystem>

#include "base/user_error.h"
#include "checkpoint/huggingface/hf_tokenizer_file.h"
#include "checkpoint/huggingface/safetensors_writer.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;

constexpr const char* config = "config.json";
constexpr std::array<const char*, 16> handed_on = {"generation_config.json",
                                                   "tokenizer_config.json",
                                                   "special_tokens_map.json",
                                                   "added_tokens.json",
                                                   "chat_template.jinja",
                                                   "chat_template.json",
                                                   "tokenizer.json",
                                                   "tokenizer.model",
                                                   "vocab.json",
                                                   "merges.txt",
                                                   "vocab.txt",
                                                   "spiece.model",
                                                   "tekken.json",
                                                   "sentencepiece.bpe.model",
                                                   "tokenizer.model.v3",
                                                   "tiktoken.model"};

void read_into(std::map<std::string, std::string>& files, const fs::path& path) {
  std::error_code absent;
  if (!fs::is_regular_file(path, absent)) return;
  files[path.filename().string()] = read_tokenizer_file(path.string());
}

}  // namespace

std::map<std::string, std::string> read_hugging_face_files(
    const std::string& dir, const std::optional<StoredTokenizer>& tokenizer) {
  std::map<std::string, std::string> files;
  read_into(files, fs::path(dir) / config);
  for (const char* name : handed_on) read_into(files, fs::path(dir) / name);
  std::erase_if(files, [&](const auto& file) {
    return tokenizer && file.second == tokenizer->contents &&
           file.first == hugging_face_tokenizer_file(*tokenizer, {});
  });
  return files;
}

void write_hugging_face_files(const std::string& dir,
                              const std::map<std::string, std::string>& files) {
  for (const char* name : handed_on) {
    const auto file = files.find(name);
    if (file != files.end()) write_text_file(dir + "/" + name, file->second);
  }
}

}  // namespace rondo
