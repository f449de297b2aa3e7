#include "data/tokenizers/byte_pairs.h"

#include <algorithm>
#include <tuple>

#include "data/tokenizers/utf8.h"

namespace rondo {
namespace {

constexpr size_t most_words_seen = size_t{1} << 18;
constexpr size_t longest_word_kept = 64;

uint64_t key(int32_t left, int32_t right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
}

}  // namespace

BytePairEncoder::BytePairEncoder(const BytePairModel& model)
    : bytes_(model.bytes),
      letters_(model.letters),
      unknown_(model.unknown),
      joins_unknown_(model.joins_unknown),
      whole_words_(model.whole_words) {
  steps_.reserve(model.merges.size());
  int32_t rank = 0;
  for (const Merge& merge : model.merges) {
    steps_.insert_or_assign(key(merge.left, merge.right), Step{rank++, merge.result});
  }
}

void BytePairEncoder::encode(std::string_view word, std::vector<int64_t>& tokens) {
  if (const auto known = seen_.find(word); known != seen_.end()) {
    tokens.insert(tokens.end(), known->second.begin(), known->second.end());
    return;
  }
  const auto whole = whole_words_.find(word);
  const std::vector<int32_t> ids =
      whole != whole_words_.end() ? std::vector{whole->second} : merged(word);
  tokens.insert(tokens.end(), ids.begin(), ids.end());
  if (word.size() <= longest_word_kept && seen_.size() < most_words_seen) seen_.emplace(word, ids);
}

std::vector<int32_t> BytePairEncoder::merged(std::string_view word) {
  begin(word);
  const auto later = [](const Candidate& a, const Candidate& b) {
    return std::tie(a.rank, a.at) > std::tie(b.rank, b.at);
  };
  std::make_heap(candidates_.begin(), candidates_.end(), later);
  while (!candidates_.empty()) {
    std::pop_heap(candidates_.begin(), candidates_.end(), later);
    const Candidate pair = candidates_.back();
    candidates_.pop_back();
    const Symbol& left = symbols_[pair.at];
    const bool stands =
        left.id == pair.left && left.next >= 0 && symbols_[left.next].id == pair.right;
    if (!stands) continue;
    join(pair);
    for (const int32_t at : {left.previous, pair.at}) {
      const size_t before = candidates_.size();
      propose(at);
      if (candidates_.size() > before) {
        std::push_heap(candidates_.begin(), candidates_.end(), later);
      }
    }
  }
  std::vector<int32_t> ids;
  for (const Symbol& symbol : symbols_) {
    if (symbol.id >= 0) ids.push_back(symbol.id);
  }
  return ids;
}

bool BytePairEncoder::has_bytes(std::string_view letter) const {
  return std::all_of(letter.begin(), letter.end(),
                     [&](char c) { return bytes_[static_cast<unsigned char>(c)] >= 0; });
}

void BytePairEncoder::add_symbol(int32_t id) {
  const auto at = static_cast<int32_t>(symbols_.size());
  symbols_.push_back({id, at - 1, at + 1});
}

void BytePairEncoder::begin(std::string_view word) {
  symbols_.clear();
  candidates_.clear();
  const bool by_byte = letters_.empty();
  bool held_back = false;  // an unknown piece: the next may join it
  const auto release = [&] {
    if (held_back) add_symbol(unknown_);
    held_back = false;
  };
  for (size_t size = 0; !word.empty(); word.remove_prefix(size)) {
    size = by_byte ? 1 : character_size(word);
    const std::string_view letter = word.substr(0, size);
    const auto known = letters_.find(letter);
    if (known != letters_.end()) {
      release();
      add_symbol(known->second);
    } else if (has_bytes(letter)) {
      if (by_byte) release();  // the bytes of a character overtake it, as in the original
      for (const char c : letter) add_symbol(bytes_[static_cast<unsigned char>(c)]);
    } else if (unknown_ >= 0) {
      if (!joins_unknown_) release();
      held_back = true;
    }
  }
  release();
  if (symbols_.empty()) return;
  symbols_.back().next = -1;
  for (int32_t at = 0; at < static_cast<int32_t>(symbols_.size()); ++at) propose(at);
}

void BytePairEncoder::propose(int32_t at) {
  if (at < 0) return;
  const Symbol& left = symbols_[at];
  if (left.next < 0) return;
  const int32_t right = symbols_[left.next].id;
  const auto step = steps_.find(key(left.id, right));
  if (step == steps_.end()) return;
  candidates_.push_back({step->second.rank, at, left.id, right, step->second.result});
}

void BytePairEncoder::join(const Candidate& pair) {
  Symbol& left = symbols_[pair.at];
  Symbol& right = symbols_[left.next];
  left.id = pair.result;
  left.next = right.next;
  right.id = -1;
  if (left.next >= 0) symbols_[left.next].previous = pair.at;
}

}  // namespace rondo
