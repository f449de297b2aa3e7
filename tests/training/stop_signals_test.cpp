#include "training/machine/stop_signals.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
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
  } while (sigismember(&waiting, SIGTERM) == 1 || sigismember(&waiting, SIGUSR1) == 1 ||
           sigismember(&waiting, SIGINT) == 1);
}

/// What waitpid says of a process of its own that does `body` and ends with its value. GoogleTest's
/// death tests do not end under the address sanitizer.
template <typename Body>
int status_of(Body body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return status;
}

TEST(StopSignals, TakesSeveralWithinTheGraceForOneRequest) {
  const int status = status_of([] {
    const StopSignals signals(hours(1));
    send(SIGUSR1);
    wait_for(signals);
    send(SIGTERM);
    send(SIGINT);
    wait_until_taken();
    return signals.requested() ? 7 : 1;
  });
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
}

TEST(StopSignals, EndsTheProcessAtALaterOne) {
  const int status = status_of([] {
    const StopSignals signals(hours(0));
    send(SIGINT);
    wait_for(signals);
    send(SIGTERM);
    std::this_thread::sleep_for(std::chrono::seconds(60));
    return 1;
  });
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGTERM);
}

TEST(StopSignals, OutliveTheReaderOfTheOutput) {
  const int status = status_of([] {
    const StopSignals signals;
    std::array<int, 2> ends{};
    if (pipe(ends.data()) != 0) return 1;
    close(ends[0]);
    return write(ends[1], "x", 1) == -1 && errno == EPIPE ? 7 : 2;
  });
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
}

}  // namespace
}  // namespace rondo
