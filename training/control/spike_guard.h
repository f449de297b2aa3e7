// Tells when a run's loss leaves its way upwards.
#pragma once

#include <cstdint>
#include <deque>

namespace rondo {

/// A spike is `patience` losses in a row that lie more than `sigmas` standard deviations above the
/// mean of the healthy losses before them, of which it takes at least `least` to judge.
class SpikeGuard {
 public:
  static constexpr size_t window = 50;
  static constexpr size_t least = 20;
  static constexpr int patience = 3;

  explicit SpikeGuard(double sigmas) : sigmas_(sigmas) {}

  /// Takes the loss of the next step. Returns whether it completes a spike.
  bool add(double loss);

  /// The losses of the spike so far.
  int length() const { return length_; }

  /// The run goes on from before the spike.
  void forget_spike() { length_ = 0; }

 private:
  bool is_high(double loss) const;

  double sigmas_;
  std::deque<double> healthy_;  ///< newest last
  int length_ = 0;
};

}  // namespace rondo
