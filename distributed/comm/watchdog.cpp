#include "distributed/comm/watchdog.h"

#include <algorithm>
#include <utility>

#include "distributed/comm/local_ranks.h"
#include "distributed/comm/mpi_session.h"

namespace rondo {

Watchdog::Watch::Watch(Watchdog& dog, const Membership& members, const char* operation)
    : dog_(dog), members_(members), operation_(operation), start_(Clock::now()) {
  const std::lock_guard lock(dog_.mutex_);
  dog_.in_flight_.push_back(this);
}

Watchdog::Watch::~Watch() {
  const std::lock_guard lock(dog_.mutex_);
  std::erase(dog_.in_flight_, this);
}

Watchdog::Watchdog(double deadline_s, WatchdogContext around)
    : deadline_(deadline_s), around_(std::move(around)), thread_([this] { run(); }) {}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stopping_.notify_one();
  thread_.join();
}

void Watchdog::run() {
  const auto interval = std::min(deadline_ / 10, std::chrono::duration<double>(1));
  std::unique_lock lock(mutex_);
  while (!stopping_.wait_for(lock, interval, [this] { return stop_; })) {
    end_job_if_a_call_is_late(Clock::now());
  }
}

void Watchdog::end_job_if_a_call_is_late(Clock::time_point now) const {
  for (const Watch* watch : in_flight_) {
    const std::chrono::duration<double> waited = now - watch->start_;
    if (waited > deadline_) {
      end_job(overdue_line(watch->members_, watch->operation_, deadline_.count(), around_.nodes) +
              stopped_clause(around_.local));
    }
  }
}

}  // namespace rondo
