// The order in which the tokens of one corpus are read, epoch after epoch.
#pragma once

#include <cstdint>
#include <vector>

#include "data/dataset/indexed_dataset.h"

namespace rondo {

/// Ascending, none empty, no two that touch.
using TokenRanges = std::vector<TokenRange>;

/// How a corpus is cut into samples.
struct WindowRule {
  TokenRange inputs;     ///< of the split; the token at inputs.end is a target still
  int64_t sequence = 1;  ///< tokens a window
  int64_t stride = 1;    ///< tokens between the beginnings of windows
  bool shuffle = false;
  uint64_t key = 0;  ///< of the shuffle; each epoch makes another of it
};

/// What of a corpus the epoch under way has not read as inputs.
struct Unread {
  int64_t epoch = 0;
  TokenRanges ranges;
};

/// Token ranges read one after the other as one stream.
class TokenStream {
 public:
  /// What of `ranges` lies in `within`.
  TokenStream(const TokenRanges& ranges, TokenRange within);

  int64_t tokens() const { return before_.back(); }
  /// Appends where the tokens [begin, begin + length) of the stream lie in the corpus.
  void locate(int64_t begin, int64_t length, std::vector<TokenRange>& places) const;

 private:
  TokenRanges ranges_;
  std::vector<int64_t> before_ = {0};  ///< tokens before each range, and of all
};

/// The windows of a corpus. A first epoch that was begun under another rule goes on with what that
/// one left, joined to one stream, so that each of its tokens is read once; a window may then be
/// made of several places. Later epochs are windows of the whole split. With `shuffle` the windows
/// of each epoch are permuted.
class CorpusOrder {
 public:
  /// `tokens` of the corpus.
  CorpusOrder(const WindowRule& rule, int64_t tokens, Unread start);

  /// Windows of a whole epoch.
  int64_t windows() const { return windows_in(whole_); }

  /// Which window of its epoch the `use`-th (from 0) is.
  int64_t window(int64_t use) const;

  /// Where the inputs of the `use`-th window lie.
  std::vector<TokenRange> places(int64_t use) const;

  /// What is left after so many uses. Takes a bit for each window of an epoch.
  Unread after(int64_t uses) const;

 private:
  /// A place in the order.
  struct Turn {
    int64_t epoch;
    const TokenStream& stream;
    int64_t index;  ///< in the epoch
  };

  int64_t windows_in(const TokenStream& stream) const;
  Turn turn(int64_t use) const;
  int64_t shuffled(const Turn& turn, int64_t index) const;

  WindowRule rule_;
  TokenRanges all_;
  Unread start_;
  TokenStream first_;
  TokenStream whole_;
};

/// All of a corpus of so many tokens, of which the last is a target only.
Unread all_unread(int64_t tokens);

}  // namespace rondo
