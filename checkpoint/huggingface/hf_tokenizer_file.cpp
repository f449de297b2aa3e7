#include "checkpoint/huggingface/hf_tokenizer_file.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/json_integer.h"
#include "base/mapped_file.h"
#include "base/user_error.h"
#include "checkpoint/format/json_fault.h"
#include "checkpoint/huggingface/hf_tokenizer_json.h"

namespace rondo {

std::string read_tokenizer_file(const std::string& path) {
  constexpr size_t most_bytes = size_t{1} << 28;
  const MappedFile file(path);
  if (file.size() > most_bytes) {
    throw UserError(path + " is too large for a tokenizer; move it away");
  }
  return std::string(file.view());
}

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

bool has(const std::string& dir, const char* name) {
  return fs::is_regular_file(fs::path(dir) / name);
}

std::string contents_of(const std::string& dir, const char* name) {
  const std::string path = (fs::path(dir) / name).string();
  std::string contents = read_tokenizer_file(path);
  if (contents.empty()) throw UserError(path + " cannot be read, or is empty; move it away");
  return contents;
}

/// An object; empty where there is no such file.
json object_in(const std::string& dir, const char* name) {
  return has(dir, name) ? json::parse(read_json_object((fs::path(dir) / name).string()))
                        : json::object();
}

std::vector<int64_t> end_tokens(const std::string& dir) {
  std::vector<int64_t> ends;
  for (const char* name : {"config.json", "generation_config.json"}) {
    const json found = object_in(dir, name).value("eos_token_id", json());
    for (const json& end : found.is_array() ? found : json::array({found})) {
      const bool is_token = is_json_integer(end) && end.get<int64_t>() >= 0;
      if (!is_token) continue;
      const auto id = end.get<int64_t>();
      if (std::find(ends.begin(), ends.end(), id) == ends.end()) ends.push_back(id);
    }
  }
  return ends;
}

}  // namespace

std::optional<StoredTokenizer> read_hugging_face_tokenizer(const std::string& dir) {
  const json config = object_in(dir, "tokenizer_config.json");
  const json added = object_in(dir, "added_tokens.json");
  const json special = object_in(dir, "special_tokens_map.json");
  const TokenizerSettings settings{config, added, special};
  const bool has_model = has(dir, "tokenizer.model");
  std::string whole;
  if (has(dir, "tokenizer.json")) {
    whole =
        with_added_tokens(contents_of(dir, "tokenizer.json"), settings, dir + "/tokenizer.json");
  } else if (has(dir, "vocab.json") && has(dir, "merges.txt")) {
    whole = tokenizer_json_of(contents_of(dir, "vocab.json"), contents_of(dir, "merges.txt"),
                              settings, dir);
  }
  if (!whole.empty() && (is_bpe(whole) || !has_model)) {
    return StoredTokenizer{"hf", whole, end_tokens(dir)};
  }
  if (!has_model) return std::nullopt;
  const std::string model = model_with_added_tokens(contents_of(dir, "tokenizer.model"), settings,
                                                    dir + "/tokenizer.model");
  return StoredTokenizer{"sentencepiece", model, end_tokens(dir)};
}

std::string hugging_face_tokenizer_file(const StoredTokenizer& tokenizer,
                                        const std::map<std::string, std::string>& files) {
  if (tokenizer.kind == "sentencepiece") {
    return files.contains("tokenizer.model") ? "" : "tokenizer.model";
  }
  const bool comes_along = files.contains("tokenizer.json") || files.contains("vocab.json");
  return tokenizer.kind == "hf" && !comes_along ? "tokenizer.json" : "";
}

}  // namespace rondo
