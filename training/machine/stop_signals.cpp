#include "training/machine/stop_signals.h"

#include <ctime>

namespace rondo {

StopSignals::StopSignals() {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGUSR1);
  sigaddset(&signals_, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  watcher_ = std::jthread([this](const std::stop_token& stop) { watch(stop); });
}

/// After the first signal this is the one thread that the next can be delivered to, with its
/// default action.
void StopSignals::watch(const std::stop_token& stop) {
  const timespec pause{0, 50'000'000};
  while (!stop.stop_requested()) {
    if (requested_) {
      nanosleep(&pause, nullptr);
    } else if (sigtimedwait(&signals_, nullptr, &pause) > 0) {
      requested_ = true;
      pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr);
    }
  }
}

}  // namespace rondo
