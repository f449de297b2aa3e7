#include "data/tokenizers/hf_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "base/user_error.h"
#include "data/tokenizers/byte_alphabet.h"
#include "data/tokenizers/nfc.h"

namespace rondo {
namespace {

using nlohmann::json;

constexpr const char* gpt2_words =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::array<std::string_view, 6> end_tokens = {
    "<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<|im_end|>", "<|eot_id|>"};
constexpr int64_t most_ids = int64_t{1} << 24;

/// What a file may not have; the name of the file is put in front where it is known.
[[noreturn]] void refuse(const std::string& what) { throw std::invalid_argument(what); }

[[noreturn]] void refuse_model(const std::string& what) {
  refuse(what + ", but only byte-level BPE is supported; use sentencepiece:tokenizer.model, " +
         "which most such models ship, too");
}

std::string type_of(const json& part) { return part.value("type", ""); }

bool is_set(const json& part, const char* key) {
  return part.contains(key) && !part[key].is_null() && part[key] != "" && part[key] != false &&
         part[key] != 0.0;
}

int32_t id_of(const json& vocab, const std::string& piece) {
  const auto found = vocab.find(piece);
  if (found == vocab.end()) {
    refuse(fmt::format("it needs the piece '{}', which its vocabulary lacks", piece));
  }
  return found->get<int32_t>();
}

/// "left right", or ["left", "right"].
std::pair<std::string, std::string> read_pair(const json& merge) {
  if (merge.is_array() && merge.size() == 2) return {merge[0], merge[1]};
  const std::string text = merge.is_string() ? merge.get<std::string>() : "";
  const size_t space = text.find(' ');
  if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) {
    refuse("the merge " + merge.dump() + " is not a pair");
  }
  return {text.substr(0, space), text.substr(space + 1)};
}

void put_piece(std::vector<std::string>& pieces, int64_t id, std::string bytes) {
  if (id < 0 || id >= most_ids) refuse(fmt::format("the token id {} is out of range", id));
  const auto index = static_cast<size_t>(id);
  if (pieces.size() <= index) pieces.resize(index + 1);
  pieces[index] = std::move(bytes);
}

void read_model(const json& model, HfTokenizer& parts) {
  const std::string type = model.value("type", model.contains("merges") ? "BPE" : "unknown");
  if (type != "BPE") refuse_model("its model is " + type);
  if (is_set(model, "byte_fallback")) refuse_model("its BPE falls back to bytes");
  for (const char* key : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}) {
    if (is_set(model, key)) refuse(fmt::format("its BPE has a {}, which is not supported", key));
  }
  const json& vocab = model.at("vocab");
  const bool whole_words = is_set(model, "ignore_merges");
  for (const auto& [piece, id] : vocab.items()) {
    const auto bytes = from_byte_alphabet(piece);
    put_piece(parts.pieces, id.get<int64_t>(), bytes.value_or(piece));
    if (whole_words && bytes) parts.model.whole_words.emplace(*bytes, id.get<int32_t>());
  }
  const int32_t unknown = is_set(model, "unk_token") ? id_of(vocab, model["unk_token"]) : -1;
  const bool fuses = unknown >= 0 && is_set(model, "fuse_unk");
  for (size_t byte = 0; byte < parts.model.bytes.size(); ++byte) {
    const std::string letter = byte_letter(static_cast<unsigned char>(byte));
    if (fuses && !vocab.contains(letter)) {
      refuse("it joins bytes that it has no piece for (fuse_unk), which is not supported");
    }
    parts.model.bytes[byte] = vocab.value(letter, unknown);
  }
  for (const json& merge : model.at("merges")) {
    const auto [left, right] = read_pair(merge);
    parts.model.merges.push_back(
        {id_of(vocab, left), id_of(vocab, right), id_of(vocab, left + right)});
  }
}

void read_normalizer(const json& normalizer, HfTokenizer& parts) {
  if (normalizer.is_null()) return;
  if (type_of(normalizer) != "NFC") {
    refuse_model(fmt::format("its normalizer is {}, not NFC", type_of(normalizer)));
  }
  parts.nfc = true;
}

Pattern read_split(const json& split) {
  if (split.at("behavior") != "Isolated") {
    refuse(fmt::format("its Split is {}, of which only Isolated is supported",
                       split.at("behavior").dump()));
  }
  const json& pattern = split.at("pattern");
  if (pattern.contains("String")) return Pattern::literal(pattern["String"].get<std::string>());
  return Pattern(pattern.at("Regex").get<std::string>());
}

/// The steps of a pre-tokeniser, the last of which must be ByteLevel.
std::vector<json> steps_of(const json& pre_tokenizer) {
  std::vector<json> steps = {pre_tokenizer};
  if (type_of(pre_tokenizer) == "Sequence") steps = pre_tokenizer.at("pretokenizers");
  if (steps.empty() || type_of(steps.back()) != "ByteLevel") {
    refuse_model("its pre-tokenizer does not end with ByteLevel");
  }
  return steps;
}

void read_pre_tokenizer(const json& pre_tokenizer, HfTokenizer& parts) {
  if (pre_tokenizer.is_null()) refuse_model("it has no pre-tokenizer");
  std::vector<json> steps = steps_of(pre_tokenizer);
  const json bytes = steps.back();
  steps.pop_back();
  for (const json& step : steps) {
    if (type_of(step) == "Digits") {
      parts.patterns.emplace_back(step.at("individual_digits") == true ? "\\p{N}" : "\\p{N}+");
    } else if (type_of(step) == "Split") {
      parts.patterns.push_back(read_split(step));
    } else {
      refuse(fmt::format("its pre-tokenizer {} is not supported (Split, Digits and ByteLevel are)",
                         step.value("type", step.dump())));
    }
  }
  if (is_set(bytes, "add_prefix_space")) {
    refuse("it puts a space in front of each text (add_prefix_space), which is not supported");
  }
  if (bytes.value("use_regex", true)) parts.patterns.emplace_back(gpt2_words);
}

void read_added_token(const json& token, HfTokenizer& parts) {
  const std::string content = token.at("content");
  if (content.empty()) return;
  if (is_set(token, "single_word")) {
    refuse(fmt::format("its added token '{}' is a single_word, which is not supported", content));
  }
  const bool normalised = is_set(token, "normalized");
  const AddedToken added{normalised && parts.nfc ? to_nfc(content) : content, token.at("id"),
                         is_set(token, "lstrip"), is_set(token, "rstrip")};
  put_piece(parts.pieces, added.id, added.content);
  (normalised ? parts.normalised_tokens : parts.raw_tokens).push_back(added);
}

std::optional<int64_t> find_end(const HfTokenizer& parts) {
  for (const std::string_view name : end_tokens) {
    for (const auto* tokens : {&parts.raw_tokens, &parts.normalised_tokens}) {
      const auto found = std::find_if(tokens->begin(), tokens->end(),
                                      [&](const AddedToken& t) { return t.content == name; });
      if (found != tokens->end()) return found->id;
    }
  }
  return std::nullopt;
}

HfTokenizer read_parts(const json& root) {
  HfTokenizer parts;
  if (!root.contains("model")) refuse("not a tokenizer.json of Hugging Face (no \"model\")");
  read_model(root["model"], parts);
  read_normalizer(root.value("normalizer", json()), parts);
  read_pre_tokenizer(root.value("pre_tokenizer", json()), parts);
  for (const json& token : root.value("added_tokens", json::array())) {
    read_added_token(token, parts);
  }
  parts.end = find_end(parts);
  return parts;
}

}  // namespace

HfTokenizer read_hf_tokenizer(std::string_view json_text, const std::string& where) {
  try {
    return read_parts(json::parse(json_text));
  } catch (const json::exception& error) {
    const std::string_view message = error.what();
    throw UserError(fmt::format("{}: not a tokenizer.json of Hugging Face, or damaged: {}", where,
                                message.substr(message.find("] ") + 2)));
  } catch (const std::invalid_argument& error) {
    std::string line = error.what();  // may quote the file
    std::replace(line.begin(), line.end(), '\n', ' ');
    throw UserError(fmt::format("{}: {}", where, line));
  }
}

}  // namespace rondo
