// Which corpus of a blend gives the next sample.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

namespace rondo {

/// Deals turns to corpora by weight. After n turns a corpus with the share w has had floor(n·w) or
/// ceil(n·w) of them, for every n: its j-th turn (from 0) comes at floor(j/w) at the earliest and
/// before ceil((j+1)/w), and the earliest deadline first meets all of these (Baruah, Cohen, Plaxton
/// and Varvel, "Proportionate progress", 1996). The order depends on the weights alone. One thread
/// at a time.
class BlendOrder {
 public:
  /// `weights` are positive and need not add up to 1.
  explicit BlendOrder(const std::vector<double>& weights);

  struct Turn {
    size_t corpus = 0;
    int64_t earlier = 0;  ///< turns that the corpus had before
  };

  /// Turn `index` (from 0). Rising indices cost one comparison a corpus each, and recent turns are
  /// remembered; an index further back is counted from the start again.
  const Turn& turn(int64_t index);

  /// How many of the first `turns` turns each corpus has.
  std::vector<int64_t> uses(int64_t turns);

  /// `uses` is what an earlier `uses` gave: saves counting up to there.
  void start_from(const std::vector<int64_t>& uses);

 private:
  struct State {
    int64_t turns = 0;
    std::vector<int64_t> uses;
  };
  /// Turns in which a corpus' next use may come.
  struct Slot {
    int64_t release = 0;
    int64_t deadline = 0;
  };

  void go_to(const State& state);
  void deal();
  Slot slot(size_t corpus) const;

  std::vector<double> turns_per_use_;
  State start_;
  State now_;
  std::vector<Slot> slots_;  ///< of each corpus' next use
  std::deque<Turn> recent_;  ///< the turns before now_.turns
};

}  // namespace rondo
