// When the actions of a run begin and end.
#pragma once

#include <chrono>
#include <cstddef>
#include <utility>
#include <vector>

#include "distributed/plan/schedule/simulate.h"

namespace rondo {

/// Keeps a timeline if it is on, and nothing otherwise. Entries are numbered as they are made.
class Recorder {
 public:
  explicit Recorder(bool on) : on_(on) {}

  bool on() const { return on_; }

  /// An action that begins now and, until more is known, ends now.
  void enter(const Action& action) {
    if (!on_) return;
    const double start = now();
    timeline_.push_back({action, start, start});
  }
  /// The newest entry.
  size_t newest() const { return timeline_.empty() ? 0 : timeline_.size() - 1; }
  /// The newest entry has waited until now.
  void begin() {
    if (on_) timeline_.back().start_s = now();
  }
  void end(size_t entry) {
    if (on_) timeline_[entry].end_s = now();
  }

  /// Seconds since the recorder was made.
  std::vector<TimedAction> take() { return std::move(timeline_); }

 private:
  using Clock = std::chrono::steady_clock;

  double now() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  bool on_;
  Clock::time_point start_ = Clock::now();
  std::vector<TimedAction> timeline_;
};

}  // namespace rondo
