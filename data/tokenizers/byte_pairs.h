// Byte pair encoding of one word at a time.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace rondo {

/// Looks a std::string key up by a view.
struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
template <typename Value>
using TextMap = std::unordered_map<std::string, Value, TextHash, std::equal_to<>>;

/// The piece `left` followed by the piece `right` becomes the piece `result`.
struct Merge {
  int32_t left, right, result;
};

/// What a BPE model has learned, in ids; -1 stands for no piece. A word begins as bytes or, when
/// `letters` has any, as characters; of one that has no piece its bytes are taken, if all have one.
struct BytePairModel {
  std::array<int32_t, 256> bytes;  ///< the piece of each byte
  TextMap<int32_t> letters = {};   ///< the pieces of single characters
  int32_t unknown = -1;            ///< for what has no piece; -1 to leave it out
  bool joins_unknown = false;      ///< one such piece for neighbours that have none
  std::vector<Merge> merges;       ///< the first is to be done first
  TextMap<int32_t> whole_words;    ///< words that are pieces, whatever the merges make of them
};

/// Splits a word into bytes or characters and joins neighbours, each time the leftmost of the pairs
/// whose merge comes first, until no pair has one. Remembers words that it has seen: one thread at
/// a time.
class BytePairEncoder {
 public:
  explicit BytePairEncoder(const BytePairModel& model);

  /// Appends the ids of `word`.
  void encode(std::string_view word, std::vector<int64_t>& tokens);

 private:
  struct Step {
    int32_t rank, result;
  };
  struct Symbol {
    int32_t id, previous, next;  ///< -1 for none; a symbol joined to its left one has the id -1
  };
  struct Candidate {
    int32_t rank, at, left, right, result;
  };

  std::vector<int32_t> merged(std::string_view word);
  void begin(std::string_view word);
  bool has_bytes(std::string_view letter) const;
  void add_symbol(int32_t id);
  void propose(int32_t at);
  void join(const Candidate& pair);

  std::array<int32_t, 256> bytes_;
  TextMap<int32_t> letters_;
  int32_t unknown_;
  bool joins_unknown_;
  std::unordered_map<uint64_t, Step> steps_;
  TextMap<int32_t> whole_words_;
  TextMap<std::vector<int32_t>> seen_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> candidates_;  ///< a heap; the next to do is in front
};

}  // namespace rondo
