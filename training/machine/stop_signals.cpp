#include "training/machine/stop_signals.h"

#include <unistd.h>

#include <ctime>

namespace rondo {

StopSignals::StopSignals(std::chrono::steady_clock::duration grace) {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGUSR1);
  sigaddset(&signals_, SIGTERM);
  sigaddset(&signals_, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  watcher_ = std::jthread([this, grace](const std::stop_token& stop) { watch(stop, grace); });
}

void StopSignals::watch(const std::stop_token& stop, std::chrono::steady_clock::duration grace) {
  using Clock = std::chrono::steady_clock;
  const timespec pause{0, 50'000'000};
  Clock::time_point first;
  while (!stop.stop_requested()) {
    const int signal = sigtimedwait(&signals_, nullptr, &pause);
    if (signal <= 0) continue;
    if (!requested_) {
      first = Clock::now();
      requested_ = true;
    } else if (Clock::now() - first >= grace) {
      pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr);
      kill(getpid(), signal);  // this thread takes it, with its default action
    }
  }
}

}  // namespace rondo
