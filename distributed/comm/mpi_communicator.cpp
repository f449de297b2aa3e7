#include "distributed/comm/mpi_communicator.h"

#include <mpi.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <climits>
#include <cstddef>
#include <functional>
#include <future>
#include <stdexcept>
#include <thread>
#include <utility>

#include "distributed/comm/call_queue.h"
#include "distributed/comm/membership.h"
#include "distributed/comm/segments.h"
#include "distributed/comm/tree_limit.h"
#include "distributed/comm/watchdog.h"

namespace rondo {

namespace {

// What a rank receives from its neighbour is added while it is still in the cache.
constexpr int64_t sum_segment = 1 << 20;
// MPI counts are ints; a multiple of every element size.
constexpr int64_t copy_segment = 1 << 30;
// A ring and a message may meet on one communicator.
constexpr int ring_tag = 0;
constexpr int message_tag = 1;

MPI_Datatype mpi_type(ElementType type) {
  if (type == ElementType::float32) return MPI_FLOAT;
  if (type == ElementType::float64) return MPI_DOUBLE;
  return MPI_INT64_T;
}

/// MPI counts are ints.
int message_size(Bytes bytes) {
  if (bytes.size > INT_MAX) throw std::invalid_argument("a message of more than 2 GiB");
  return static_cast<int>(bytes.size);
}

/// Waits without a core of its own: other ranks and threads may need this one more.
template <class Done>
void poll(Done done) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point patient = Clock::now() + std::chrono::microseconds(200);
  while (!done()) {
    if (Clock::now() < patient) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
  }
}

/// A collective on the queue's thread.
class QueuedCall final : public Pending {
 public:
  explicit QueuedCall(std::future<void> future) : future_(std::move(future)) {}
  ~QueuedCall() override {
    if (future_.valid()) future_.wait();
  }
  void wait() override {
    if (future_.valid()) future_.get();
  }
  bool done() override {
    return !future_.valid() ||
           future_.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }

 private:
  std::future<void> future_;
};

class MpiCommunicator final : public Communicator {
 public:
  /// Takes `comm`, null for a group of one rank.
  MpiCommunicator(std::shared_ptr<Watchdog> dog, std::shared_ptr<CallQueue> queue,
                  Membership members, MPI_Comm comm)
      : dog_(std::move(dog)), queue_(std::move(queue)), members_(std::move(members)), comm_(comm) {
    if (comm_ != MPI_COMM_NULL) MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN);
  }
  ~MpiCommunicator() override {
    if (comm_ != MPI_COMM_NULL) MPI_Comm_free(&comm_);
  }

  int rank() const override { return members_.rank; }
  int size() const override { return members_.size(); }
  const std::string& name() const override { return members_.group.name; }
  SentBytes traffic() const override { return traffic_; }

  std::vector<std::unique_ptr<Communicator>> subgroups(const std::vector<Group>& groups) override;
  void all_reduce_sum(Buffer buffer) override;
  void reduce_scatter_sum(Buffer whole) override;
  void all_gather(Buffer whole) override;
  void broadcast(Buffer buffer, int root) override;
  void barrier() override;
  std::unique_ptr<Pending> start_all_reduce_sum(Buffer buffer) override;
  std::unique_ptr<Pending> start_reduce_scatter_sum(Buffer whole) override;
  std::unique_ptr<Pending> start_all_gather(Buffer whole) override;
  std::unique_ptr<Pending> start_send(Buffer buffer, int to) override;
  std::unique_ptr<Pending> start_receive(Buffer buffer, int from) override;

 private:
  class Message;
  std::function<void()> watched(const char* operation, std::function<void()> work) const;
  std::function<void()> all_reduce(Buffer buffer);
  std::function<void()> reduce_scatter(Buffer whole);
  std::function<void()> gather(Buffer whole);
  void run(const std::function<void()>& call);
  std::unique_ptr<Pending> start(const std::function<void()>& call);
  void finish(MPI_Request& request, const char* operation) const;
  void tree_sum(const Buffer& buffer, const char* operation);
  void ring_sum(const Buffer& buffer, const char* operation);
  void ring_gather(const Buffer& buffer, const char* operation);
  void pass(Bytes out, Bytes in, Add add, const char* operation);
  void copy_from(Bytes bytes, int root, const char* operation);
  MPI_Comm create_comm(const Group& group, const Membership& members, int tag);
  void check(int code, const char* operation) const;

  std::shared_ptr<Watchdog> dog_;
  std::shared_ptr<CallQueue> queue_;  ///< of the world, for all its subgroups
  Membership members_;
  MPI_Comm comm_;
  SentBytes traffic_;
  std::vector<std::byte> scratch_;  ///< two sum segments, from the first ring sum on
};

void MpiCommunicator::check(int code, const char* operation) const {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> reason{};
  int length = 0;
  MPI_Error_string(code, reason.data(), &length);
  throw std::runtime_error(failure_line(members_, operation, {reason.data(), size_t(length)}));
}

// Each rank enters only the groups that it is a member of, in the order of the list. Of all groups
// that are not yet complete, the members of the first have left every earlier one, so that it
// completes: overlapping groups cannot wait for each other in a circle.
std::vector<std::unique_ptr<Communicator>> MpiCommunicator::subgroups(
    const std::vector<Group>& groups) {
  std::vector<std::unique_ptr<Communicator>> result(groups.size());
  for (size_t i = 0; i < groups.size(); ++i) {
    const Membership members = member_of(members_, groups[i]);
    if (!members.is_member()) continue;
    const MPI_Comm comm =
        members.size() == 1 ? MPI_COMM_NULL : create_comm(groups[i], members, static_cast<int>(i));
    result[i] = std::make_unique<MpiCommunicator>(dog_, queue_, members, comm);
  }
  return result;
}

MPI_Comm MpiCommunicator::create_comm(const Group& group, const Membership& members, int tag) {
  const char* const operation = "subgroups";
  const Watchdog::Watch watch(*dog_, members, operation);
  constexpr int least_tag_bound = 32768;
  MPI_Group all = MPI_GROUP_NULL;
  MPI_Group some = MPI_GROUP_NULL;
  MPI_Comm comm = MPI_COMM_NULL;
  check(MPI_Comm_group(comm_, &all), operation);
  check(MPI_Group_incl(all, members.size(), group.ranks.data(), &some), operation);
  check(MPI_Comm_create_group(comm_, some, tag % least_tag_bound, &comm), operation);
  check(MPI_Group_free(&some), operation);
  check(MPI_Group_free(&all), operation);
  return comm;
}

/// A message under way, looked after by the queue's thread until somebody waits for it.
class MpiCommunicator::Message final : public Pending {
 public:
  Message(const MpiCommunicator& owner, const char* operation)
      : owner_(owner), operation_(operation) {
    owner_.queue_->message_started();
  }
  ~Message() override {
    if (request_ != MPI_REQUEST_NULL) MPI_Request_free(&request_);
    owner_.queue_->message_finished();
  }
  MPI_Request* request() { return &request_; }
  void wait() override {
    if (done()) return;
    const Watchdog::Watch watch(*owner_.dog_, owner_.members_, operation_);
    owner_.finish(request_, operation_);
  }
  bool done() override {
    int flag = 1;
    owner_.check(MPI_Test(&request_, &flag, MPI_STATUS_IGNORE), operation_);
    return flag != 0;
  }

 private:
  const MpiCommunicator& owner_;
  const char* operation_;
  MPI_Request request_ = MPI_REQUEST_NULL;
};

void MpiCommunicator::finish(MPI_Request& request, const char* operation) const {
  poll([&] {
    int flag = 0;
    check(MPI_Test(&request, &flag, MPI_STATUS_IGNORE), operation);
    return flag != 0;
  });
}

std::unique_ptr<Pending> MpiCommunicator::start_send(Buffer buffer, int to) {
  const Bytes bytes = bytes_of(buffer);
  auto message = std::make_unique<Message>(*this, "send");
  check(MPI_Isend(bytes.data, message_size(bytes), MPI_BYTE, to, message_tag, comm_,
                  message->request()),
        "send");
  traffic_.activation += bytes.size;
  return message;
}

std::unique_ptr<Pending> MpiCommunicator::start_receive(Buffer buffer, int from) {
  const Bytes bytes = bytes_of(buffer);
  auto message = std::make_unique<Message>(*this, "receive");
  check(MPI_Irecv(bytes.data, message_size(bytes), MPI_BYTE, from, message_tag, comm_,
                  message->request()),
        "receive");
  return message;
}

/// `work` under the deadline; empty in a group of one.
std::function<void()> MpiCommunicator::watched(const char* operation,
                                               std::function<void()> work) const {
  if (size() == 1) return {};
  return [this, operation, work = std::move(work)] {
    const Watchdog::Watch watch(*dog_, members_, operation);
    work();
  };
}

// 64 MiB of float32 between two ranks of one node: 11 ms; MPI_Allreduce of Open MPI 4.1 takes 25.
std::function<void()> MpiCommunicator::all_reduce(Buffer buffer) {
  const char* const operation = "all_reduce_sum";
  require_summable(buffer.type);
  traffic_.reduce += ring_bytes(members_, buffer, 2);
  return watched(operation, [=, this] {
    if (bytes_of(buffer).size <= tree_bytes) {
      tree_sum(buffer, operation);
    } else {
      ring_sum(buffer, operation);
      ring_gather(buffer, operation);
    }
  });
}

// For the same buffer 6 ms; MPI_Reduce_scatter_block takes more than 30.
std::function<void()> MpiCommunicator::reduce_scatter(Buffer whole) {
  const char* const operation = "reduce_scatter_sum";
  require_summable(whole.type);
  equal_part(members_, whole);
  traffic_.reduce += ring_bytes(members_, whole, 1);
  return watched(operation, [=, this] { ring_sum(whole, operation); });
}

std::function<void()> MpiCommunicator::gather(Buffer whole) {
  const char* const operation = "all_gather";
  equal_part(members_, whole);
  traffic_.gather += ring_bytes(members_, whole, 1);
  return watched(operation, [=, this] { ring_gather(whole, operation); });
}

void MpiCommunicator::run(const std::function<void()>& call) {
  if (call) queue_->run(call);
}

std::unique_ptr<Pending> MpiCommunicator::start(const std::function<void()>& call) {
  return std::make_unique<QueuedCall>(call ? queue_->start(call) : std::future<void>());
}

void MpiCommunicator::all_reduce_sum(Buffer buffer) { run(all_reduce(buffer)); }
void MpiCommunicator::reduce_scatter_sum(Buffer whole) { run(reduce_scatter(whole)); }
void MpiCommunicator::all_gather(Buffer whole) { run(gather(whole)); }

std::unique_ptr<Pending> MpiCommunicator::start_all_reduce_sum(Buffer buffer) {
  return start(all_reduce(buffer));
}
std::unique_ptr<Pending> MpiCommunicator::start_reduce_scatter_sum(Buffer whole) {
  return start(reduce_scatter(whole));
}
std::unique_ptr<Pending> MpiCommunicator::start_all_gather(Buffer whole) {
  return start(gather(whole));
}

void MpiCommunicator::broadcast(Buffer buffer, int root) {
  require_root(members_, root);
  run(watched("broadcast", [=, this] { copy_from(bytes_of(buffer), root, "broadcast"); }));
}

void MpiCommunicator::barrier() {
  run(watched("barrier", [this] { check(MPI_Barrier(comm_), "barrier"); }));
}

/// One rank sums and all others copy its bits; MPI_Allreduce only promises to try for equal bits.
void MpiCommunicator::tree_sum(const Buffer& buffer, const char* operation) {
  const int count = static_cast<int>(buffer.count);
  const bool is_root = rank() == 0;
  const void* const terms = is_root ? MPI_IN_PLACE : buffer.data;
  void* const sums = is_root ? buffer.data : nullptr;
  check(MPI_Reduce(terms, sums, count, mpi_type(buffer.type), MPI_SUM, 0, comm_), operation);
  copy_from(bytes_of(buffer), 0, operation);
}

/// Part p starts at rank p+1 and is added up along the ring until rank p has the sum.
void MpiCommunicator::ring_sum(const Buffer& buffer, const char* operation) {
  scratch_.resize(2 * sum_segment);
  const Add add = add_of(buffer.type);
  for (int step = 1; step < size(); ++step) {
    const int out = (rank() - step + size()) % size();
    const int in = (rank() - step - 1 + size()) % size();
    pass(part_of(buffer, out, size()), part_of(buffer, in, size()), add, operation);
  }
}

void MpiCommunicator::ring_gather(const Buffer& buffer, const char* operation) {
  for (int step = 0; step + 1 < size(); ++step) {
    const int out = (rank() - step + size()) % size();
    const int in = (rank() - step - 1 + size()) % size();
    pass(part_of(buffer, out, size()), part_of(buffer, in, size()), nullptr, operation);
  }
}

/// Sends `out` to the right neighbour while `in` comes from the left: into its place, or, with
/// `add`, into the scratch segments, one of which is added to its place while the other fills.
void MpiCommunicator::pass(Bytes out, Bytes in, Add add, const char* operation) {
  const int right = (rank() + 1) % size();
  const int left = (rank() - 1 + size()) % size();
  const int64_t segment = add ? sum_segment : copy_segment;
  const int64_t segments = std::max(segments_in(out, segment), segments_in(in, segment));
  std::array<MPI_Request, 2> sent{MPI_REQUEST_NULL, MPI_REQUEST_NULL};
  std::array<MPI_Request, 2> received{MPI_REQUEST_NULL, MPI_REQUEST_NULL};

  const auto landing_of = [&](int64_t i) {
    return add ? scratch_.data() + i % 2 * sum_segment : segment_of(in, segment, i).data;
  };
  const auto start = [&](int64_t i) {
    const Bytes to = segment_of(out, segment, i);
    const int from_size = static_cast<int>(segment_of(in, segment, i).size);
    if (from_size > 0) {
      check(MPI_Irecv(landing_of(i), from_size, MPI_BYTE, left, ring_tag, comm_, &received[i % 2]),
            operation);
    }
    if (to.size > 0) {
      check(MPI_Isend(to.data, static_cast<int>(to.size), MPI_BYTE, right, ring_tag, comm_,
                      &sent[i % 2]),
            operation);
    }
  };

  start(0);
  for (int64_t i = 0; i < segments; ++i) {
    start(i + 1);
    finish(received[i % 2], operation);
    const Bytes to = segment_of(in, segment, i);
    if (add) add(to.data, landing_of(i), to.size);
    finish(sent[i % 2], operation);
  }
}

void MpiCommunicator::copy_from(Bytes bytes, int root, const char* operation) {
  for (int64_t i = 0; i < segments_in(bytes, copy_segment); ++i) {
    const Bytes segment = segment_of(bytes, copy_segment, i);
    check(MPI_Bcast(segment.data, static_cast<int>(segment.size), MPI_BYTE, root, comm_),
          operation);
  }
}

}  // namespace

std::unique_ptr<Communicator> make_mpi_world(double deadline_s) {
  if (!mpi_is_running()) throw std::logic_error("make_mpi_world needs a live MpiSession");
  int rank = 0;
  int size = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  auto dog = std::make_shared<Watchdog>(deadline_s, WatchdogContext{ranks_on_node(), node_names()});
  const Membership members = world_membership(rank, size);
  MPI_Comm comm = MPI_COMM_NULL;
  const Watchdog::Watch watch(*dog, members, "make_mpi_world");
  if (size > 1 && MPI_Comm_dup(MPI_COMM_WORLD, &comm) != MPI_SUCCESS) {
    throw std::runtime_error(failure_line(members, "make_mpi_world", "MPI_Comm_dup refused"));
  }
  // Any call into MPI moves every message that is under way.
  const auto progress = [] {
    int flag = 0;
    MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_SELF, &flag, MPI_STATUS_IGNORE);
  };
  return std::make_unique<MpiCommunicator>(dog, std::make_shared<CallQueue>(progress), members,
                                           comm);
}

}  // namespace rondo
