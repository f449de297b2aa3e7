#include "launcher/stop_signals.h"

#include <ctime>

namespace rondo {

StopSignals::StopSignals() {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGUSR1);
  sigaddset(&signals_, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
}

bool StopSignals::requested() {
  const timespec at_once{0, 0};
  requested_ = requested_ || sigtimedwait(&signals_, nullptr, &at_once) > 0;
  return requested_;
}

}  // namespace rondo
