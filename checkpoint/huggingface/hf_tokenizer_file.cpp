#include "checkpoint/huggingface/hf_tokenizer_file.h"

#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/user_error.h"
#include "checkpoint/format/json_fault.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;

/// Kind and file, the one that is preferred first: models with SentencePiece often ship a
/// tokenizer.json of another kind than ours beside it.
constexpr std::array<std::pair<const char*, const char*>, 2> files = {
    {{"sentencepiece", "tokenizer.model"}, {"hf", "tokenizer.json"}}};
constexpr uintmax_t most_bytes = uintmax_t{1} << 28;

std::string contents_of(const fs::path& path) {
  if (fs::file_size(path) > most_bytes) {
    throw UserError(path.string() + " is too large for a tokenizer; move it away");
  }
  std::ifstream file(path, std::ios::binary);
  std::string contents{std::istreambuf_iterator<char>(file), {}};
  if (!file || contents.empty()) {
    throw UserError(path.string() + " cannot be read, or is empty; move it away");
  }
  return contents;
}

std::optional<int64_t> end_token(const std::string& dir) {
  const auto config = nlohmann::json::parse(read_json_object(dir + "/config.json"));
  auto end = config.value("eos_token_id", nlohmann::json());
  if (end.is_array() && !end.empty()) end = nlohmann::json(end.front());
  if (!end.is_number_integer() || end.get<int64_t>() < 0) return std::nullopt;
  return end.get<int64_t>();
}

}  // namespace

std::optional<StoredTokenizer> read_hugging_face_tokenizer(const std::string& dir) {
  for (const auto& [kind, name] : files) {
    const fs::path path = fs::path(dir) / name;
    if (!fs::is_regular_file(path)) continue;
    return StoredTokenizer{kind, contents_of(path), end_token(dir)};
  }
  return std::nullopt;
}

std::string hugging_face_tokenizer_file(const StoredTokenizer& tokenizer) {
  for (const auto& [kind, name] : files) {
    if (tokenizer.kind == kind) return name;
  }
  return "";
}

}  // namespace rondo
