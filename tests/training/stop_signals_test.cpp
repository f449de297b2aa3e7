#include "training/machine/stop_signals.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

namespace rondo {
namespace {

using std::chrono::hours;

void send(int signal) { kill(getpid(), signal); }

void wait_for(const StopSignals& signals) {
  while (!signals.requested()) std::this_thread::yield();
}

/// Whether every signal that was sent has been taken.
void wait_until_taken() {
  sigset_t waiting;
  do {
    sigpending(&waiting);
  } while (sigismember(&waiting, SIGTERM) == 1 || sigismember(&waiting, SIGUSR1) == 1);
}

/// In a process of its own: the exit code of one that outlives the signals.
[[noreturn]] void outlive(std::chrono::steady_clock::duration grace) {
  const StopSignals signals(grace);
  send(SIGUSR1);
  wait_for(signals);
  send(SIGTERM);
  send(SIGTERM);
  wait_until_taken();
  _exit(signals.requested() ? 7 : 1);
}

TEST(StopSignals, TakesSeveralWithinTheGraceForOneRequest) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(outlive(hours(1)), testing::ExitedWithCode(7), ".*");
}

TEST(StopSignals, EndsTheProcessAtALaterOne) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        const StopSignals signals(hours(0));
        send(SIGUSR1);
        wait_for(signals);
        send(SIGTERM);
        while (true) std::this_thread::yield();
      },
      testing::KilledBySignal(SIGTERM), ".*");
}

}  // namespace
}  // namespace rondo
