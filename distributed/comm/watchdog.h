// Ends the job when a call waits too long for its peers.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "distributed/comm/membership.h"
#include "distributed/comm/mpi_session.h"

namespace rondo {

/// What the message of a late call tells beside the call.
struct WatchdogContext {
  std::vector<LocalRank> local = {};    ///< those that are stopped are named
  std::vector<std::string> nodes = {};  ///< of every rank
};

/// One thread looks at the calls in flight a few times per deadline; a call that is late ends the
/// job with `overdue_line`. Entering and leaving a call costs one uncontended lock and wakes
/// nobody.
class Watchdog {
 public:
  using Clock = std::chrono::steady_clock;

  /// One call in flight, from construction to destruction. `members` and `operation` must outlive
  /// it.
  class Watch {
   public:
    Watch(Watchdog& dog, const Membership& members, const char* operation);
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

   private:
    friend class Watchdog;
    Watchdog& dog_;
    const Membership& members_;
    const char* operation_;
    Clock::time_point start_;
  };

  /// `deadline_s` in seconds, above 0.
  explicit Watchdog(double deadline_s, WatchdogContext around = {});
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  void run();
  void end_job_if_a_call_is_late(Clock::time_point now) const;

  const std::chrono::duration<double> deadline_;
  const WatchdogContext around_;
  std::mutex mutex_;
  std::condition_variable stopping_;
  bool stop_ = false;
  std::vector<const Watch*> in_flight_;  ///< guarded by mutex_
  std::thread thread_;
};

}  // namespace rondo
