#include "data/dataset/indexed_dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <type_traits>

#include "base/run_error.h"
#include "base/user_error.h"

namespace rondo {
namespace {

static_assert(std::endian::native == std::endian::little, "the files are little-endian");

constexpr std::string_view magic("MMIDIDX\0\0", 9);
constexpr uint64_t format_version = 1;
constexpr uint8_t int32_code = 4;
constexpr uint8_t uint16_code = 8;
constexpr int64_t narrow_vocab = 65500;
constexpr int64_t header_bytes = 34;

template <typename T>
T load(std::string_view bytes, int64_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

template <typename T>
std::string_view raw(const T* values, size_t count) {
  return {reinterpret_cast<const char*>(values), count * sizeof(T)};
}

/// Calls action(T{}) with the C++ type of a type code. Codes 6 and 7 are floating point, and
/// swapped between versions of the format: neither holds token ids.
template <typename Action>
bool with_token_type(uint8_t code, Action action) {
  switch (code) {
    case 1:
      action(uint8_t{});
      return true;
    case 2:
      action(int8_t{});
      return true;
    case 3:
      action(int16_t{});
      return true;
    case int32_code:
      action(int32_t{});
      return true;
    case 5:
      action(int64_t{});
      return true;
    case uint16_code:
      action(uint16_t{});
      return true;
    default:
      return false;
  }
}

/// Positions of the arrays in the .idx file.
int64_t lengths_at() { return header_bytes; }
int64_t offsets_at(int64_t sequences) { return lengths_at() + 4 * sequences; }
int64_t documents_at(int64_t sequences) { return offsets_at(sequences) + 8 * sequences; }

}  // namespace

IndexedDataset::IndexedDataset(const std::string& prefix)
    : prefix_(prefix), bin_(prefix + ".bin"), idx_(prefix + ".idx") {
  read_header();
  const auto bin_bytes = static_cast<int64_t>(bin_.size());
  if (bin_bytes == 0 || sequences_ == 0) {
    throw UserError(fmt::format("{}.bin: holds no token; prepare the corpus again", prefix_));
  }
  if (bin_bytes % token_bytes_ != 0) {
    throw UserError(
        fmt::format("{}.bin: {} bytes are no whole number of {}-byte tokens; it does "
                    "not belong to the .idx beside it, or was cut",
                    prefix_, bin_bytes, token_bytes_));
  }
  tokens_ = bin_bytes / token_bytes_;
  check_arrays();
}

void IndexedDataset::read_header() {
  const std::string_view idx = idx_.view();
  const std::string path = prefix_ + ".idx";
  if (idx.substr(0, magic.size()) != magic.substr(0, std::min(idx.size(), magic.size()))) {
    throw UserError(fmt::format(
        "{}: not the index of an indexed data set (no MMIDIDX at its start); make one with "
        "\"rondo prepare\"",
        path));
  }
  const auto truncated = [&] {
    return UserError(fmt::format(
        "{}: truncated, or its counts are damaged ({} bytes); copy or prepare the corpus again",
        path, idx.size()));
  };
  if (idx.size() < header_bytes) throw truncated();
  if (const auto version = load<uint64_t>(idx, 9); version != format_version) {
    throw UserError(fmt::format("{}: version {} of the format; only version {} is readable", path,
                                version, format_version));
  }
  code_ = load<uint8_t>(idx, 17);
  if (!with_token_type(code_, [&](auto token) { token_bytes_ = sizeof(token); })) {
    throw UserError(fmt::format(
        "{}: token type {} is no integer type of the format (1 uint8, 2 int8, 3 int16, 4 int32, "
        "5 int64, 8 uint16)",
        path, code_));
  }
  const auto sequences = load<uint64_t>(idx, 18);
  const auto bounds = load<uint64_t>(idx, 26);
  const uint64_t room = idx.size() - header_bytes;
  // Each count alone is bounded before they are multiplied, so nothing overflows.
  if (sequences > room / 12 || bounds > room / 8) throw truncated();
  const uint64_t needed = 12 * sequences + 8 * bounds;
  if (room < needed) throw truncated();
  if (room != needed && room != needed + sequences) {
    throw UserError(
        fmt::format("{}: {} bytes too long for its {} sequences and {} documents; "
                    "copy or prepare the corpus again",
                    path, room - needed, sequences, bounds));
  }
  if (bounds == 0) throw UserError(fmt::format("{}: lists no document boundary", path));
  sequences_ = static_cast<int64_t>(sequences);
  documents_ = static_cast<int64_t>(bounds) - 1;
}

void IndexedDataset::check_arrays() const {
  const std::string_view idx = idx_.view();
  int64_t begin = 0;
  for (int64_t i = 0; i < sequences_; ++i) {
    const auto length = load<int32_t>(idx, lengths_at() + 4 * i);
    const auto offset = load<int64_t>(idx, offsets_at(sequences_) + 8 * i);
    if (length < 0 || length > tokens_ - begin) {
      throw UserError(
          fmt::format("{}.idx: sequence {} has length {}, but {}.bin has {} tokens "
                      "left there; the two files do not belong together",
                      prefix_, i, length, prefix_, tokens_ - begin));
    }
    if (offset != begin * token_bytes_) {
      throw UserError(
          fmt::format("{}.idx: sequence {} begins at byte {}, expected {}; only "
                      "sequences that lie back to back are readable",
                      prefix_, i, offset, begin * token_bytes_));
    }
    begin += length;
  }
  if (begin != tokens_) {
    throw UserError(
        fmt::format("{}.bin: holds {} tokens, but {}.idx lists {}; the two files do "
                    "not belong together",
                    prefix_, tokens_, prefix_, begin));
  }
  int64_t previous = 0;
  for (int64_t i = 0; i <= documents_; ++i) {
    const auto bound = load<int64_t>(idx, documents_at(sequences_) + 8 * i);
    if (bound < previous || bound > sequences_ || (i == 0 && bound != 0)) {
      throw UserError(
          fmt::format("{}.idx: document {} begins at sequence {}, which is out of "
                      "order; prepare the corpus again",
                      prefix_, i, bound));
    }
    previous = bound;
  }
  if (previous != sequences_) {
    throw UserError(
        fmt::format("{}.idx: its documents end at sequence {} of {}; prepare the "
                    "corpus again",
                    prefix_, previous, sequences_));
  }
}

int64_t IndexedDataset::sequence_begin(int64_t sequence) const {
  if (sequence == sequences_) return tokens_;
  return load<int64_t>(idx_.view(), offsets_at(sequences_) + 8 * sequence) / token_bytes_;
}

TokenRange IndexedDataset::document(int64_t index) const {
  if (index < 0 || index >= documents_) throw std::out_of_range("document of an indexed data set");
  const auto bound = [&](int64_t i) {
    return sequence_begin(load<int64_t>(idx_.view(), documents_at(sequences_) + 8 * i));
  };
  return {bound(index), bound(index + 1)};
}

void IndexedDataset::read(int64_t begin, std::span<int64_t> out) const {
  const auto count = static_cast<int64_t>(out.size());
  if (begin < 0 || begin > tokens_ || count > tokens_ - begin) {
    throw std::out_of_range(
        fmt::format("{}: {} tokens from {} on, of {}", prefix_, count, begin, tokens_));
  }
  with_token_type(code_, [&](auto type) {
    using Token = decltype(type);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t at = (begin + i) * static_cast<int64_t>(sizeof(Token));
      out[i] = load<Token>(bin_.view(), at);
    }
  });
}

void IndexedDataset::check_vocab(int64_t begin, std::span<const int64_t> tokens,
                                 int64_t vocab) const {
  const auto bad = std::find_if(tokens.begin(), tokens.end(),
                                [&](int64_t token) { return token < 0 || token >= vocab; });
  if (bad == tokens.end()) return;
  const std::string fault =
      fmt::format("{}.bin: token {} at position {} is outside the model's vocabulary of {}",
                  prefix_, *bad, begin + (bad - tokens.begin()), vocab);
  if (bin_.has_changed()) {
    throw RunError(fault +
                   ": the file has changed since it was opened; restore it, and give the "
                   "same command again");
  }
  throw UserError(fault + "; set model.vocab, or prepare the corpus with another tokenizer");
}

void IndexedDataset::check_vocab(TokenRange range, int64_t vocab) const {
  constexpr int64_t block_tokens = 1 << 16;
  std::vector<int64_t> block;
  const int64_t end = std::min(range.end, tokens_);
  for (int64_t begin = range.begin; begin < end; begin += block_tokens) {
    block.resize(static_cast<size_t>(std::min(block_tokens, end - begin)));
    read(begin, block);
    check_vocab(begin, block, vocab);
  }
}

IndexedDatasetWriter::IndexedDatasetWriter(const std::string& prefix, int64_t vocab,
                                           int64_t longest_sequence)
    : prefix_(prefix),
      vocab_(vocab),
      longest_sequence_(longest_sequence),
      narrow_(vocab < narrow_vocab),
      bin_(prefix + ".bin"),
      idx_(prefix + ".idx") {}

void IndexedDatasetWriter::append(std::span<const int64_t> tokens) {
  const auto write = [&](auto type) {
    std::vector<decltype(type)> stored(tokens.begin(), tokens.end());
    bin_.write(raw(stored.data(), stored.size()));
  };
  for (const int64_t token : tokens) {
    if (token < 0 || token >= vocab_) {
      throw UserError(
          fmt::format("{}.bin: token {} is outside the vocabulary of {}", prefix_, token, vocab_));
    }
  }
  with_token_type(narrow_ ? uint16_code : int32_code, write);
  tokens_ += static_cast<int64_t>(tokens.size());
  for (auto left = static_cast<int64_t>(tokens.size()); left > 0;) {
    if (!open_sequence_ || lengths_.back() == longest_sequence_) lengths_.push_back(0);
    open_sequence_ = true;
    const int64_t fits = std::min(left, longest_sequence_ - lengths_.back());
    lengths_.back() += static_cast<int32_t>(fits);
    left -= fits;
  }
}

void IndexedDatasetWriter::end_document() {
  documents_.push_back(static_cast<int64_t>(lengths_.size()));
  open_sequence_ = false;
}

void IndexedDatasetWriter::close() {
  if (closed_) return;
  if (tokens_ == 0) {
    throw UserError(fmt::format("{}.bin: there is no token to write; give more text", prefix_));
  }
  if (open_sequence_) end_document();
  const uint8_t code = narrow_ ? uint16_code : int32_code;
  const int64_t token_bytes = narrow_ ? 2 : 4;
  std::vector<int64_t> offsets;
  int64_t next = 0;
  for (const int32_t length : lengths_) {
    offsets.push_back(next);
    next += length * token_bytes;
  }
  const std::array<uint64_t, 2> counts = {lengths_.size(), documents_.size()};
  idx_.write(magic);
  idx_.write(raw(&format_version, 1));
  idx_.write(raw(&code, 1));
  idx_.write(raw(counts.data(), counts.size()));
  idx_.write(raw(lengths_.data(), lengths_.size()));
  idx_.write(raw(offsets.data(), offsets.size()));
  idx_.write(raw(documents_.data(), documents_.size()));
  bin_.close();
  idx_.close();
  closed_ = true;
}

void IndexedDatasetWriter::finish() {
  close();
  bin_.publish();
  idx_.publish();
}

}  // namespace rondo
