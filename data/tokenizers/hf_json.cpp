#include "data/tokenizers/hf_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "base/json_integer.h"
#include "base/user_error.h"
#include "data/tokenizers/byte_alphabet.h"
#include "data/tokenizers/replaced.h"
#include "data/tokenizers/utf8.h"

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
  refuse(what + ", but only BPE is supported; use sentencepiece:tokenizer.model, " +
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
  return json_integer<int32_t>(*found);
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

/// "<0x0A>"
std::string byte_piece(size_t byte) { return fmt::format("<0x{:02X}>", byte); }

/// Pieces are words of characters, or of the letters that stand for bytes.
void read_letters(const json& model, bool by_byte, HfTokenizer& parts) {
  const json& vocab = model.at("vocab");
  const bool whole_words = is_set(model, "ignore_merges");
  for (const auto& [piece, id] : vocab.items()) {
    const auto bytes = by_byte ? from_byte_alphabet(piece) : std::optional(piece);
    put_piece(parts.pieces, json_integer(id), bytes.value_or(piece));
    if (whole_words && bytes) parts.model.whole_words.emplace(*bytes, json_integer<int32_t>(id));
    const bool is_letter = !by_byte && !piece.empty() && character_size(piece) == piece.size();
    if (is_letter) parts.model.letters.emplace(piece, json_integer<int32_t>(id));
  }
  for (size_t byte = 0; byte < parts.model.bytes.size(); ++byte) {
    const std::string letter =
        by_byte ? byte_letter(static_cast<unsigned char>(byte)) : byte_piece(byte);
    const bool counts = by_byte || is_set(model, "byte_fallback");
    parts.model.bytes[byte] = counts ? vocab.value(letter, -1) : -1;
  }
}

void read_model(const json& model, bool by_byte, HfTokenizer& parts) {
  const std::string type = model.value("type", model.contains("merges") ? "BPE" : "unknown");
  if (type != "BPE") refuse_model("its model is " + type);
  for (const char* key : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}) {
    if (is_set(model, key)) refuse(fmt::format("its BPE has a {}, which is not supported", key));
  }
  if (by_byte && is_set(model, "byte_fallback")) {
    refuse("its BPE falls back to bytes (byte_fallback) after ByteLevel, which is not supported");
  }
  read_letters(model, by_byte, parts);
  if (!by_byte && parts.model.letters.empty()) refuse_model("its BPE has no characters");
  const json& vocab = model.at("vocab");
  if (is_set(model, "unk_token")) parts.model.unknown = id_of(vocab, model["unk_token"]);
  parts.model.joins_unknown = is_set(model, "fuse_unk");
  for (const json& merge : model.at("merges")) {
    const auto [left, right] = read_pair(merge);
    parts.model.merges.push_back(
        {id_of(vocab, left), id_of(vocab, right), id_of(vocab, left + right)});
  }
}

/// A step, or the steps of a Sequence and of those in it.
std::vector<json> steps_of(const json& part, const char* list) {
  if (part.is_null()) return {};
  if (type_of(part) != "Sequence") return {part};
  std::vector<json> steps;
  for (const json& inner : part.at(list)) {
    const std::vector<json> more = steps_of(inner, list);
    steps.insert(steps.end(), more.begin(), more.end());
  }
  return steps;
}

Pattern read_pattern(const json& pattern) {
  if (pattern.contains("String")) return Pattern::literal(pattern["String"].get<std::string>());
  return Pattern(pattern.at("Regex").get<std::string>());
}

Normalizer read_normalizer(const json& step) {
  if (type_of(step) == "NFC") return Compose{};
  if (type_of(step) == "Prepend") return Prepend{step.at("prepend")};
  if (type_of(step) == "Replace")
    return Replace{read_pattern(step.at("pattern")), step.at("content")};
  refuse(
      fmt::format("its normalizer {} is not supported (NFC, Prepend and Replace are); use "
                  "sentencepiece:tokenizer.model where the model ships it",
                  step.value("type", step.dump())));
}

Split read_split(const json& split) {
  constexpr std::array<std::string_view, 5> behaviors = {"Isolated", "Removed", "Contiguous",
                                                         "MergedWithPrevious", "MergedWithNext"};
  const std::string name = split.at("behavior");
  const auto found = std::find(behaviors.begin(), behaviors.end(), name);
  if (found == behaviors.end()) refuse(fmt::format("its Split is {}, which is unknown", name));
  return {read_pattern(split.at("pattern")), static_cast<Behavior>(found - behaviors.begin()),
          is_set(split, "invert")};
}

Metaspace read_metaspace(const json& step) {
  using Front = Metaspace::Front;
  // Older files have add_prefix_space instead.
  const std::string scheme =
      step.value("prepend_scheme", step.value("add_prefix_space", true) ? "always" : "never");
  const auto front = scheme == "always"  ? Front::always
                     : scheme == "first" ? Front::first
                                         : Front::never;
  return {step.at("replacement"), front, step.value("split", true)};
}

bool is_byte_level(const json& step) { return type_of(step) == "ByteLevel"; }

void read_word_steps(const std::vector<json>& steps, HfTokenizer& parts) {
  for (const json& step : steps) {
    const std::string type = type_of(step);
    if (type == "Digits") {
      const bool each = step.at("individual_digits") == true;
      parts.word_steps.push_back(Split{Pattern(each ? "\\p{N}" : "\\p{N}+")});
    } else if (type == "Split") {
      parts.word_steps.push_back(read_split(step));
    } else if (type == "Metaspace") {
      parts.word_steps.push_back(read_metaspace(step));
    } else if (is_byte_level(step) && &step == &steps.back()) {
      if (is_set(step, "add_prefix_space")) {
        refuse("it puts a space in front of each text (add_prefix_space), which is not supported");
      }
      if (step.value("use_regex", true)) parts.word_steps.push_back(Split{Pattern(gpt2_words)});
    } else {
      refuse(
          fmt::format("its pre-tokenizer {} is not supported (Split, Digits, Metaspace and, as "
                      "the last, ByteLevel are)",
                      step.value("type", step.dump())));
    }
  }
}

/// Pieces of characters, and added tokens, write a space as ▁; bytes are written as <0x0A>.
void read_decoder(const json& decoder, HfTokenizer& parts) {
  for (const json& step : steps_of(decoder, "decoders")) {
    const std::string type = type_of(step);
    std::string mark;
    if (type == "Metaspace") mark = step.at("replacement");
    if (type == "Replace") mark = step.at("pattern").value("String", std::string());
    const std::string space = type == "Replace" ? step.at("content").get<std::string>() : " ";
    for (std::string& piece : parts.pieces) {
      if (!mark.empty()) piece = replaced(piece, mark, space);
    }
    if (type != "ByteFallback") continue;
    for (size_t byte = 0; byte < parts.model.bytes.size(); ++byte) {
      const int32_t id = parts.model.bytes[byte];
      if (id >= 0) parts.pieces[id] = static_cast<char>(byte);
    }
  }
}

void read_added_token(const json& token, HfTokenizer& parts) {
  const std::string content = token.at("content");
  if (content.empty()) return;
  if (is_set(token, "single_word")) {
    refuse(fmt::format("its added token '{}' is a single_word, which is not supported", content));
  }
  const bool normalised = is_set(token, "normalized");
  AddedToken added{content, json_integer(token.at("id")), is_set(token, "lstrip"),
                   is_set(token, "rstrip")};
  if (normalised) added.content = normalise(parts.normalizers, content, {});
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
  const std::vector<json> steps = steps_of(root.value("pre_tokenizer", json()), "pretokenizers");
  const bool by_byte = !steps.empty() && is_byte_level(steps.back());
  read_model(root["model"], by_byte, parts);
  for (const json& step : steps_of(root.value("normalizer", json()), "normalizers")) {
    parts.normalizers.push_back(read_normalizer(step));
  }
  read_word_steps(steps, parts);
  for (const json& token : root.value("added_tokens", json::array())) {
    read_added_token(token, parts);
  }
  if (!by_byte) read_decoder(root.value("decoder", json()), parts);
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
