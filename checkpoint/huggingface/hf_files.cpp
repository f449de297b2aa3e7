#include "checkpoint/huggingface/hf_files.h"

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "checkpoint/huggingface/safetensors_writer.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;

constexpr const char* config = "config.json";
constexpr std::array<const char*, 6> settings = {"generation_config.json",  "tokenizer_config.json",
                                                 "special_tokens_map.json", "added_tokens.json",
                                                 "chat_template.jinja",     "chat_template.json"};
constexpr uintmax_t most_bytes = uintmax_t{1} << 20;

void read_into(std::map<std::string, std::string>& files, const fs::path& path) {
  std::error_code absent;
  const bool fits = fs::is_regular_file(path, absent) && fs::file_size(path, absent) <= most_bytes;
  if (!fits) return;
  std::ifstream in(path, std::ios::binary);
  files[path.filename().string()] = {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

std::map<std::string, std::string> read_hugging_face_files(const std::string& dir) {
  std::map<std::string, std::string> files;
  read_into(files, fs::path(dir) / config);
  for (const char* name : settings) read_into(files, fs::path(dir) / name);
  return files;
}

void write_hugging_face_files(const std::string& dir,
                              const std::map<std::string, std::string>& files) {
  for (const char* name : settings) {
    const auto file = files.find(name);
    if (file != files.end()) write_text_file(dir + "/" + name, file->second);
  }
}

}  // namespace rondo
