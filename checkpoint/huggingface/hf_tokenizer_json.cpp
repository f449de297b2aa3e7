#include "checkpoint/huggingface/hf_tokenizer_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/json_integer.h"
#include "base/proto_fields.h"
#include "base/user_error.h"

namespace rondo {
namespace {

using nlohmann::json;

constexpr const char* qwen2_words =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
/// Which transformers takes for special without being told.
constexpr const char* default_special = "<|endoftext|>";

json plain_token(const std::string& content, int64_t id) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

/// "<s>", or {"content": "<s>", …}.
std::string content_of(const json& token) {
  if (token.is_string()) return token;
  return token.is_object() ? token.value("content", "") : "";
}

/// Special tokens that are named without an id: eos_token and the like, and lists of others.
std::vector<std::string> special_contents(const json& settings) {
  std::vector<std::string> contents;
  for (const auto& [key, value] : settings.items()) {
    const bool is_list = key == "additional_special_tokens" || key == "extra_special_tokens";
    if (!is_list && !key.ends_with("_token")) continue;
    for (const json& token : is_list&& value.is_structured() ? value : json::array({value})) {
      contents.push_back(content_of(token));
    }
  }
  return contents;
}

/// By id, each with its flags.
std::map<int64_t, json> named_tokens(const TokenizerSettings& settings, const json& vocab) {
  std::map<int64_t, json> tokens;
  for (const json* from : {&settings.special, &settings.config}) {
    for (const std::string& content : special_contents(*from)) {
      const auto found = vocab.find(content);
      if (content.empty() || found == vocab.end()) continue;
      tokens[json_integer(*found)] = plain_token(content, json_integer(*found));
    }
  }
  for (const auto& [content, id] : settings.added_tokens.items()) {
    tokens[json_integer(id)] = plain_token(content, json_integer(id));
  }
  const json decoder = settings.config.value("added_tokens_decoder", json::object());
  for (const auto& [id, token] : decoder.items()) {
    json whole = plain_token(token.at("content"), std::stoll(id));
    whole.update(token);
    whole.erase("__type");
    tokens[std::stoll(id)] = whole;
  }
  return tokens;
}

/// Special tokens that no file gives an id follow the vocabulary, as in transformers.
void append_absent(const TokenizerSettings& settings, const json& vocab,
                   std::map<int64_t, json>& tokens) {
  int64_t next = static_cast<int64_t>(vocab.size());
  if (!tokens.empty()) next = std::max(next, tokens.rbegin()->first + 1);
  const auto append = [&](const std::string& content) {
    const bool known = std::any_of(tokens.begin(), tokens.end(), [&](const auto& token) {
      return token.second.at("content") == content;
    });
    if (content.empty() || known || vocab.contains(content)) return;
    tokens[next] = plain_token(content, next);
    ++next;
  };
  for (const json* from : {&settings.special, &settings.config}) {
    for (const std::string& content : special_contents(*from)) append(content);
  }
  append(default_special);
}

template <typename Make>
std::string naming(const std::string& where, Make make) {
  try {
    return make();
  } catch (const json::exception& error) {
    const std::string_view message = error.what();
    throw UserError(fmt::format("{}, or a file of settings beside it, is damaged: {}", where,
                                message.substr(message.find("] ") + 2)));
  } catch (const std::logic_error&) {  // of std::stoll and json_integer
    throw UserError(where + ", or a file of settings beside it, has a token id that is none");
  }
}

}  // namespace

std::string with_added_tokens(std::string text, const TokenizerSettings& settings,
                              const std::string& where) {
  json root = json::parse(text, nullptr, /*allow_exceptions=*/false);
  const bool is_tokenizer = root.is_object() && root.contains("model") && root["model"].is_object();
  if (!is_tokenizer) return text;  // refused where it is opened
  return naming(where, [&] {
    const json vocab = root["model"].value("vocab", json());
    std::map<int64_t, json> missing =
        named_tokens(settings, vocab.is_object() ? vocab : json::object());
    json& added = root["added_tokens"];
    if (!added.is_array()) added = json::array();
    for (const json& token : added) missing.erase(json_integer(token.at("id")));
    if (missing.empty()) return text;
    for (const auto& [id, token] : missing) added.push_back(token);
    return root.dump();
  });
}

std::string tokenizer_json_of(std::string_view vocab_text, std::string_view merges,
                              const TokenizerSettings& settings, const std::string& dir) {
  return naming(dir + "/vocab.json", [&] {
    const json vocab = json::parse(vocab_text);
    json pairs = json::array();
    while (!merges.empty()) {
      std::string_view line = merges.substr(0, merges.find('\n'));
      merges.remove_prefix(std::min(merges.size(), line.size() + 1));
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (!line.empty() && !line.starts_with("#version")) pairs.push_back(line);
    }
    std::map<int64_t, json> tokens = named_tokens(settings, vocab);
    if (const auto found = vocab.find(default_special); found != vocab.end()) {
      tokens.emplace(json_integer(*found), plain_token(default_special, json_integer(*found)));
    }
    append_absent(settings, vocab, tokens);
    json added = json::array();
    for (const auto& [id, token] : tokens) added.push_back(token);
    const std::string type = settings.config.value("tokenizer_class", "");
    const bool qwen = type.starts_with("Qwen2");
    const json bytes = {{"type", "ByteLevel"},
                        {"add_prefix_space", settings.config.value("add_prefix_space", false)},
                        {"trim_offsets", true},
                        {"use_regex", !qwen}};
    const json words = {{"type", "Split"},
                        {"pattern", {{"Regex", qwen2_words}}},
                        {"behavior", "Isolated"},
                        {"invert", false}};
    const json steps = qwen ? json{{"type", "Sequence"}, {"pretokenizers", {words, bytes}}} : bytes;
    return json{{"version", "1.0"},
                {"added_tokens", added},
                {"normalizer", qwen ? json{{"type", "NFC"}} : json()},
                {"pre_tokenizer", steps},
                {"decoder", bytes},
                {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", pairs}}}}
        .dump();
  });
}

std::string model_with_added_tokens(std::string model, const TokenizerSettings& settings,
                                    const std::string& where) {
  json vocab = json::object();
  int64_t next = 0;
  each_field(model, [&](uint64_t number, std::string_view piece) {
    if (number != pieces_field) return;
    each_field(piece, [&](uint64_t part, std::string_view text) {
      if (part == 1) vocab[std::string(text)] = next;
    });
    ++next;
  });
  return naming(where, [&] {
    json added = json::array();
    for (const auto& [id, token] : named_tokens(settings, json::object())) {
      if (!vocab.contains(token.at("content"))) added.push_back(token);
    }
    return added.empty() ? model : model + proto_field(added_tokens_field, added.dump());
  });
}

bool is_bpe(std::string_view tokenizer_json) {
  const json root = json::parse(tokenizer_json, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object() || !root.contains("model") || !root["model"].is_object()) return false;
  const json& model = root["model"];
  return model.contains("type") ? model["type"] == "BPE" : model.contains("merges");
}

}  // namespace rondo
