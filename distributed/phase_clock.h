// What a rank spends its time on.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <numeric>

namespace rondo {

/// `messages` and `sums` are waiting for other ranks. On a device, forward and backward end when
/// their kernels are launched; whoever needs a result first waits for them.
enum class Phase : uint8_t { data, forward, backward, messages, sums, optimizer, save, other };

constexpr std::array phase_names = {"data", "forward",   "backward", "messages",
                                    "sums", "optimizer", "save",     "other"};

/// Seconds by phase.
struct PhaseSeconds {
  std::array<double, phase_names.size()> of = {};

  double& operator[](Phase phase) { return of[static_cast<size_t>(phase)]; }
  double operator[](Phase phase) const { return of[static_cast<size_t>(phase)]; }
  PhaseSeconds& operator+=(const PhaseSeconds& other) {
    for (size_t i = 0; i < of.size(); ++i) of[i] += other.of[i];
    return *this;
  }
  double sum() const { return std::accumulate(of.begin(), of.end(), 0.0); }
  PhaseSeconds operator/(double number) const {
    PhaseSeconds part = *this;
    for (double& seconds : part.of) seconds /= number;
    return part;
  }
};

/// A clock that is in one phase at any time.
class PhaseClock {
 public:
  /// In `phase` from construction to destruction; then back in the one around it.
  class In {
   public:
    In(PhaseClock& clock, Phase phase) : clock_(clock), before_(clock.change(phase)) {}
    ~In() { clock_.change(before_); }
    In(const In&) = delete;
    In& operator=(const In&) = delete;

   private:
    PhaseClock& clock_;
    Phase before_;
  };

  /// What has passed so far.
  PhaseSeconds seconds() {
    change(phase_);
    return seconds_;
  }

 private:
  using Clock = std::chrono::steady_clock;

  Phase change(Phase phase) {
    const Clock::time_point now = Clock::now();
    seconds_[phase_] += std::chrono::duration<double>(now - since_).count();
    since_ = now;
    const Phase before = phase_;
    phase_ = phase;
    return before;
  }

  Phase phase_ = Phase::other;
  Clock::time_point since_ = Clock::now();
  PhaseSeconds seconds_ = {};
};

}  // namespace rondo
