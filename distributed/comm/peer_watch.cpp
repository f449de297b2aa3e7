#include "distributed/comm/peer_watch.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <csignal>

namespace rondo {
namespace {

/// A descriptor that becomes readable when the process ends; below 0 where there is none.
int open_process(int64_t process) {
  return static_cast<int>(syscall(SYS_pidfd_open, static_cast<pid_t>(process), 0));
}

/// What a shell says of a program that SIGKILL ended.
constexpr int killed = 128 + SIGKILL;

bool has_ended(int descriptor, std::chrono::milliseconds wait) {
  pollfd entry{.fd = descriptor, .events = POLLIN, .revents = 0};
  return poll(&entry, 1, static_cast<int>(wait.count())) > 0;
}

}  // namespace

PeerWatch::PeerWatch() {
  const std::vector<LocalRank> local = ranks_on_node();
  if (local.size() < 2) return;
  size_t own = 0;
  while (local[own].process != getpid()) ++own;
  const LocalRank next = local[(own + 1) % local.size()];
  const int descriptor = open_process(next.process);
  if (descriptor < 0) return;
  watcher_ = std::jthread(
      [next, descriptor](const std::stop_token& stop) { watch(stop, next, descriptor); });
}

PeerWatch::~PeerWatch() {
  watcher_.request_stop();
  if (watcher_.joinable()) watcher_.join();
  wait_for_all_ranks();  // none may end while another still watches it
}

void PeerWatch::watch(const std::stop_token& stop, LocalRank next, int descriptor) {
  using namespace std::chrono_literals;
  while (!stop.stop_requested() && !has_ended(descriptor, 50ms)) {
  }
  close(descriptor);
  if (stop.stop_requested()) return;
  // A launcher that ends the whole job by force is through with it by then.
  std::this_thread::sleep_for(200ms);
  if (stop.stop_requested() || job_is_ending()) return;
  end_job(fmt::format("rank {} (process {}) is gone: killed by a signal, or by the kernel for want "
                      "of memory; the same command goes on from the last checkpoint",
                      next.rank, next.process),
          killed);
}

}  // namespace rondo
