// Runs calls behind the caller's back, one after the other.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <thread>

namespace rondo {

/// One thread that runs what it is given in the order in which it is given. While messages are
/// under way and there is nothing else to do, it looks after them: some MPI transports move a
/// message only while both ends are inside MPI. It starts with the first call or message.
class CallQueue {
 public:
  /// `progress` moves what is under way and returns at once.
  explicit CallQueue(std::function<void()> progress) : progress_(std::move(progress)) {}
  ~CallQueue();
  CallQueue(const CallQueue&) = delete;
  CallQueue& operator=(const CallQueue&) = delete;

  /// After everything that was started before. The future has the error, if there was one.
  std::future<void> start(std::function<void()> call);

  /// In the same order as if it were started, but on the caller's thread where nothing is left to
  /// run before it.
  void run(const std::function<void()>& call);

  /// A message is under way, or no longer.
  void message_started();
  void message_finished();

 private:
  void serve();
  void start_thread();

  std::function<void()> progress_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::packaged_task<void()>> calls_;  ///< guarded, like all below
  bool running_ = false;
  bool stop_ = false;
  int messages_ = 0;
  std::thread thread_;
};

}  // namespace rondo
