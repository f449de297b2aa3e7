// A polite end: SIGUSR1 (Slurm's warning before the limit), SIGTERM and SIGINT (Ctrl-C) ask the run
// to save and stop.
#pragma once

#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>

namespace rondo {

/// Takes the first of these signals as a request, which can be asked for at any time. What follows
/// within `grace` is the same request: launchers send a signal to a process and to its group, or
/// two kinds at once. A later one ends the process at once. A reader of the output that leaves
/// (`rondo train | head`) does not end the run: SIGPIPE is ignored. Construct before any other
/// thread starts: threads inherit the mask that keeps signals from them.
class StopSignals {
 public:
  explicit StopSignals(std::chrono::steady_clock::duration grace = std::chrono::seconds(1));

  /// Whether one has arrived since construction.
  bool requested() const { return requested_; }

  /// Seconds since construction, with which a program begins.
  double running_s() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  void watch(const std::stop_token& stop, std::chrono::steady_clock::duration grace);

  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  sigset_t signals_;
  std::atomic<bool> requested_ = false;
  std::jthread watcher_;
};

}  // namespace rondo
