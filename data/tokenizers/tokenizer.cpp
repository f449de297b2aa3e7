#include "data/tokenizers/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <utility>

#include "base/mapped_file.h"
#include "base/near_path.h"
#include "base/user_error.h"
#include "data/tokenizers/hf_tokenizer.h"
#include "data/tokenizers/sentencepiece_tokenizer.h"

namespace rondo {
namespace {

constexpr int64_t byte_values = 256;
constexpr int64_t special_pieces = 3;  // unknown, begin, end

Tokenizer open_bytes(std::string_view, const std::string&) {
  std::vector<std::string> pieces;
  for (int value = 0; value < byte_values; ++value)
    pieces.emplace_back(1, static_cast<char>(value));
  Tokenizer tokenizer;
  tokenizer.vocab = byte_values;
  tokenizer.encode = [](std::string_view text, std::vector<int64_t>& tokens) {
    for (const char c : text) tokens.push_back(static_cast<unsigned char>(c));
  };
  tokenizer.encode_on = tokenizer.encode;
  tokenizer.decode = decode_pieces(std::move(pieces));
  return tokenizer;
}

struct Kind {
  std::string_view name;
  bool has_file;
  Tokenizer (*open)(std::string_view contents, const std::string& where);
};
constexpr std::array<Kind, 3> kinds = {{{"bytes", false, open_bytes},
                                        {"sentencepiece", true, open_sentencepiece},
                                        {"hf", true, open_hf_tokenizer}}};

const Kind* find_kind(std::string_view name) {
  const auto kind =
      std::find_if(kinds.begin(), kinds.end(), [&](const Kind& k) { return k.name == name; });
  return kind == kinds.end() ? nullptr : &*kind;
}

void check_vocab(const TokenizerRequest& request) {
  const int64_t vocab = request.vocab;
  if (vocab < 0) throw UserError(fmt::format("--vocab {}: give a positive number", vocab));
  if (request.kind == "bytes" && vocab != 0 && vocab != byte_values) {
    throw UserError(fmt::format("--vocab {}: the tokenizer bytes has {}; leave --vocab out", vocab,
                                byte_values));
  }
  if (request.train && vocab == 0) {
    throw UserError(
        fmt::format("{}: no such file; give a SentencePiece model, or --vocab N to "
                    "train one of N pieces there{}",
                    request.file, did_you_mean_path(request.file)));
  }
  if (request.train && vocab < byte_values + special_pieces) {
    throw UserError(fmt::format("--vocab {}: a model with byte fallback needs more than {} pieces",
                                vocab, byte_values + special_pieces));
  }
}

}  // namespace

TokenizerRequest request_tokenizer(const std::string& name, int64_t vocab) {
  const size_t colon = std::min(name.find(':'), name.size());
  TokenizerRequest request{name, name.substr(0, colon), "", vocab, false};
  if (colon < name.size()) request.file = name.substr(colon + 1);
  const Kind* kind = find_kind(request.kind);
  if (kind == nullptr || kind->has_file == request.file.empty() ||
      (!kind->has_file && colon < name.size())) {
    throw UserError(fmt::format(
        "--tokenizer {}: unknown tokenizer; use bytes, sentencepiece:FILE or hf:tokenizer.json",
        name));
  }
  const bool absent = kind->has_file && !std::filesystem::exists(request.file);
  request.train = absent && request.kind == "sentencepiece";
  check_vocab(request);
  if (absent && !request.train) {
    throw UserError(fmt::format("{}: no such file; give the tokenizer.json of a model{}",
                                request.file, did_you_mean_path(request.file)));
  }
  return request;
}

TokenizerDefinition read_definition(const TokenizerRequest& request) {
  if (request.file.empty()) return {request.kind, ""};
  return {request.kind, std::string(MappedFile(request.file).view())};
}

Tokenizer open_tokenizer(const TokenizerDefinition& definition, const std::string& where) {
  const Kind* kind = find_kind(definition.kind);
  if (kind == nullptr) {
    throw UserError(fmt::format("{}: a tokenizer of the unknown kind '{}'; use a newer rondo",
                                where, definition.kind));
  }
  Tokenizer tokenizer = kind->open(definition.contents, where);
  tokenizer.name = definition.kind;
  return tokenizer;
}

Tokenizer open_tokenizer(const TokenizerRequest& request, const TokenizerDefinition& definition) {
  Tokenizer tokenizer = open_tokenizer(definition, request.file);
  tokenizer.name = request.name;
  if (request.vocab != 0 && request.vocab != tokenizer.vocab) {
    throw UserError(
        fmt::format("{}: has {} pieces but --vocab asks for {}; leave --vocab out, or "
                    "name a new SentencePiece file to train",
                    request.file, tokenizer.vocab, request.vocab));
  }
  return tokenizer;
}

std::function<std::string(std::span<const int64_t>)> decode_pieces(
    std::vector<std::string> pieces) {
  return [pieces = std::make_shared<const std::vector<std::string>>(std::move(pieces))](
             std::span<const int64_t> tokens) {
    std::string text;
    for (const int64_t token : tokens) text += pieces->at(static_cast<size_t>(token));
    return text;
  };
}

void mark_joins(const std::vector<std::string>& pieces, Tokenizer& tokenizer) {
  const auto has_inside = [&](auto holds) {
    return std::any_of(pieces.begin(), pieces.end(), [&](const std::string& piece) {
      return std::adjacent_find(piece.begin(), piece.end(), holds) != piece.end();
    });
  };
  tokenizer.joins_words = has_inside([](char a, char b) { return a != ' ' && b == ' '; });
  tokenizer.joins_lines = has_inside([](char a, char b) { return a == '\n' && b != '\n'; });
}

void train_tokenizer(const TokenizerRequest& request, int64_t bytes, const EachText& texts) {
  train_sentencepiece(request.file, request.vocab, bytes, texts);
}

}  // namespace rondo
