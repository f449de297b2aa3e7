#include "data/dataset/corpus_order.h"

#include <algorithm>
#include <utility>

#include "base/splitmix64.h"
#include "data/dataset/permutation.h"

namespace rondo {
namespace {

void append(TokenRanges& ranges, TokenRange range) {
  if (range.begin >= range.end) return;
  if (!ranges.empty() && ranges.back().end == range.begin) {
    ranges.back().end = range.end;
  } else {
    ranges.push_back(range);
  }
}

/// `ranges` without `read`, which lies in them.
TokenRanges without(const TokenRanges& ranges, const TokenRanges& read) {
  TokenRanges left;
  auto next = read.begin();
  for (TokenRange range : ranges) {
    for (; next != read.end() && next->begin < range.end; ++next) {
      append(left, {range.begin, next->begin});
      range.begin = next->end;
    }
    append(left, range);
  }
  return left;
}

}  // namespace

TokenStream::TokenStream(const TokenRanges& ranges, TokenRange within) {
  for (const TokenRange& range : ranges) {
    append(ranges_, {std::max(range.begin, within.begin), std::min(range.end, within.end)});
  }
  for (const TokenRange& range : ranges_) {
    before_.push_back(before_.back() + range.end - range.begin);
  }
}

void TokenStream::locate(int64_t begin, int64_t length, std::vector<TokenRange>& places) const {
  const auto next = std::upper_bound(before_.begin(), before_.end(), begin);
  for (auto i = static_cast<size_t>(next - before_.begin()) - 1; length > 0; ++i) {
    const int64_t from = ranges_[i].begin + begin - before_[i];
    const int64_t to = std::min(from + length, ranges_[i].end);
    places.push_back({from, to});
    begin += to - from;
    length -= to - from;
  }
}

CorpusOrder::CorpusOrder(const WindowRule& rule, int64_t tokens, Unread start)
    : rule_(rule),
      all_(all_unread(tokens).ranges),
      start_(std::move(start)),
      first_(start_.ranges, rule.inputs),
      whole_(all_, rule.inputs) {}

int64_t CorpusOrder::windows_in(const TokenStream& stream) const {
  const int64_t beyond_first = stream.tokens() - rule_.sequence;
  return beyond_first < 0 ? 0 : beyond_first / rule_.stride + 1;
}

CorpusOrder::Turn CorpusOrder::turn(int64_t use) const {
  const int64_t first = windows_in(first_);
  if (use < first) return {start_.epoch, first_, use};
  const int64_t later = use - first;
  return {start_.epoch + 1 + later / windows(), whole_, later % windows()};
}

int64_t CorpusOrder::shuffled(const Turn& turn, int64_t index) const {
  if (!rule_.shuffle) return index;
  const uint64_t key = splitmix64(rule_.key ^ static_cast<uint64_t>(turn.epoch));
  return static_cast<int64_t>(
      permute(static_cast<uint64_t>(index), static_cast<uint64_t>(windows_in(turn.stream)), key));
}

int64_t CorpusOrder::window(int64_t use) const {
  const Turn at = turn(use);
  return shuffled(at, at.index);
}

std::vector<TokenRange> CorpusOrder::places(int64_t use) const {
  const Turn at = turn(use);
  std::vector<TokenRange> places;
  at.stream.locate(shuffled(at, at.index) * rule_.stride, rule_.sequence, places);
  return places;
}

Unread CorpusOrder::after(int64_t uses) const {
  if (uses == 0) return start_;
  const Turn last = turn(uses - 1);
  std::vector<bool> used(static_cast<size_t>(windows_in(last.stream)), false);
  for (int64_t i = 0; i <= last.index; ++i) used[shuffled(last, i)] = true;
  TokenRanges read;
  std::vector<TokenRange> places;
  for (size_t window = 0; window < used.size(); ++window) {
    if (!used[window]) continue;
    places.clear();
    last.stream.locate(static_cast<int64_t>(window) * rule_.stride, rule_.sequence, places);
    for (const TokenRange& place : places) append(read, place);
  }
  return {last.epoch, without(&last.stream == &first_ ? start_.ranges : all_, read)};
}

Unread all_unread(int64_t tokens) { return {0, {{0, tokens - 1}}}; }

}  // namespace rondo
