#include "distributed/comm/nccl_communicator.h"

#include <cuda_runtime_api.h>
#include <fmt/format.h>
#include <nccl.h>

#include <array>
#include <chrono>
#include <cstring>
#include <exception>
#include <functional>
#include <stdexcept>
#include <thread>
#include <utility>

#include "base/user_error.h"
#include "distributed/comm/membership.h"
#include "distributed/comm/mpi_session.h"

namespace rondo {

namespace {

using Clock = std::chrono::steady_clock;

ncclDataType_t nccl_type(ElementType type) {
  switch (type) {
    case ElementType::float32:
      return ncclFloat32;
    case ElementType::float64:
      return ncclFloat64;
    case ElementType::bfloat16:
      return ncclBfloat16;
    case ElementType::int64:
      return ncclInt64;
  }
  throw std::invalid_argument("unknown element type");
}

/// A call after an event of the side stream. Waiting orders the main stream after it, not the
/// host.
class EnqueuedCall final : public Pending {
 public:
  EnqueuedCall(cudaStream_t main, cudaEvent_t finished) : main_(main), finished_(finished) {}
  ~EnqueuedCall() override { cudaEventDestroy(finished_); }
  void wait() override { cudaStreamWaitEvent(main_, finished_, 0); }
  bool done() override { return cudaEventQuery(finished_) == cudaSuccess; }

 private:
  cudaStream_t main_;
  cudaEvent_t finished_;
};

/// Nothing to wait for.
class FinishedCall final : public Pending {
 public:
  void wait() override {}
  bool done() override { return true; }
};

class NcclCommunicator final : public Communicator {
 public:
  /// Takes `comm`, which may still be in the making; null for a subgroup of one rank.
  NcclCommunicator(NcclOptions options, Membership members, ncclComm_t comm)
      : options_(options), members_(std::move(members)), comm_(comm) {}
  ~NcclCommunicator() override;

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

  void wait_until_made(const char* operation);

 private:
  /// Hands one operation to NCCL on a stream.
  using Enqueue = std::function<ncclResult_t(cudaStream_t)>;

  std::unique_ptr<NcclCommunicator> split(const Membership& members);
  cudaStream_t stream() const { return static_cast<cudaStream_t>(options_.stream); }
  bool stream_is_idle(const char* operation);
  void check(ncclResult_t result, const char* operation);
  void check(cudaError_t result, const char* operation);
  [[noreturn]] void fail(const char* operation, const std::string& reason);
  void abort();

  template <class Done>
  void poll(const char* operation, Done done);
  void run(const char* operation, const Enqueue& enqueue);
  std::unique_ptr<Pending> start(const char* operation, const Enqueue& enqueue);
  cudaEvent_t record(cudaStream_t stream, const char* operation);
  Enqueue all_reduce(Buffer buffer);
  Enqueue reduce_scatter(Buffer whole);
  Enqueue gather(Buffer whole);

  NcclOptions options_;
  Membership members_;
  ncclComm_t comm_;
  cudaStream_t side_ = nullptr;  ///< of the started calls, from the first one on
  bool aborted_ = false;
  SentBytes traffic_;
};

/// Finalizing waits for the peers, so that a rank on its way out after an error must not.
NcclCommunicator::~NcclCommunicator() {
  if (side_) cudaStreamDestroy(side_);
  if (!comm_) return;
  const auto end = Clock::now() + std::chrono::duration<double>(options_.deadline_s);
  ncclResult_t state = std::uncaught_exceptions() > 0 ? ncclInternalError : ncclCommFinalize(comm_);
  while (state == ncclInProgress && Clock::now() < end) {
    std::this_thread::yield();
    if (ncclCommGetAsyncError(comm_, &state) != ncclSuccess) state = ncclInternalError;
  }
  if (state == ncclSuccess) {
    ncclCommDestroy(comm_);
  } else {
    abort();
  }
}

void NcclCommunicator::abort() {
  ncclCommAbort(std::exchange(comm_, nullptr));
  aborted_ = true;
}

void NcclCommunicator::fail(const char* operation, const std::string& reason) {
  if (comm_) abort();
  throw std::runtime_error(failure_line(members_, operation, reason));
}

void NcclCommunicator::check(ncclResult_t result, const char* operation) {
  if (result == ncclSuccess || result == ncclInProgress) return;
  fail(operation, fmt::format("{}: {}", ncclGetErrorString(result), ncclGetLastError(comm_)));
}

void NcclCommunicator::check(cudaError_t result, const char* operation) {
  if (result != cudaSuccess) fail(operation, cudaGetErrorString(result));
}

/// Returns when NCCL has nothing pending and `done`; NCCL is asked for errors all the while.
template <class Done>
void NcclCommunicator::poll(const char* operation, Done done) {
  const auto end = Clock::now() + std::chrono::duration<double>(options_.deadline_s);
  while (true) {
    ncclResult_t state = ncclSuccess;
    check(ncclCommGetAsyncError(comm_, &state), operation);
    check(state, operation);
    if (state == ncclSuccess && done()) return;
    if (Clock::now() > end) {
      abort();
      end_job(overdue_line(members_, operation, options_.deadline_s));
    }
    std::this_thread::yield();
  }
}

void NcclCommunicator::wait_until_made(const char* operation) {
  poll(operation, [] { return true; });
}

bool NcclCommunicator::stream_is_idle(const char* operation) {
  const cudaError_t state = cudaStreamQuery(stream());
  if (state == cudaErrorNotReady) {
    cudaGetLastError();  // not an error, but it would be reported as the next call's
    return false;
  }
  check(state, operation);
  return true;
}

/// A non-blocking communicator may launch after `enqueue` is back, so that the stream tells nothing
/// before NCCL has nothing pending.
void NcclCommunicator::run(const char* operation, const Enqueue& enqueue) {
  if (aborted_) fail(operation, "the communicator was aborted");
  if (!comm_) return;
  check(enqueue(stream()), operation);
  poll(operation, [&] { return stream_is_idle(operation); });
}

cudaEvent_t NcclCommunicator::record(cudaStream_t stream, const char* operation) {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), operation);
  check(cudaEventRecord(event, stream), operation);
  return event;
}

/// On the side stream, after what the main stream has now.
std::unique_ptr<Pending> NcclCommunicator::start(const char* operation, const Enqueue& enqueue) {
  if (aborted_) fail(operation, "the communicator was aborted");
  if (!comm_) return std::make_unique<FinishedCall>();
  if (!side_) check(cudaStreamCreateWithFlags(&side_, cudaStreamNonBlocking), operation);
  const cudaEvent_t ready = record(stream(), operation);
  check(cudaStreamWaitEvent(side_, ready, 0), operation);
  check(cudaEventDestroy(ready), operation);  // freed when it has happened
  check(enqueue(side_), operation);
  wait_until_made(operation);
  return std::make_unique<EnqueuedCall>(stream(), record(side_, operation));
}

// ncclCommSplit is collective over the parent: every rank passes every group, in the list's order.
std::vector<std::unique_ptr<Communicator>> NcclCommunicator::subgroups(
    const std::vector<Group>& groups) {
  std::vector<std::unique_ptr<Communicator>> result(groups.size());
  for (size_t i = 0; i < groups.size(); ++i) {
    const Membership members = member_of(members_, groups[i]);
    auto part = members.size() > 1 ? split(members)
                                   : std::make_unique<NcclCommunicator>(options_, members, nullptr);
    if (members.is_member()) result[i] = std::move(part);
  }
  return result;
}

/// Null where this rank is no member.
std::unique_ptr<NcclCommunicator> NcclCommunicator::split(const Membership& members) {
  const char* const operation = "subgroups";
  if (aborted_) fail(operation, "the communicator was aborted");
  const int color = members.is_member() ? 0 : NCCL_SPLIT_NOCOLOR;
  ncclComm_t comm = nullptr;
  check(ncclCommSplit(comm_, color, rank(), &comm, nullptr), operation);
  wait_until_made(operation);
  if (!members.is_member()) return nullptr;
  auto part = std::make_unique<NcclCommunicator>(options_, members, comm);
  part->wait_until_made(operation);
  return part;
}

NcclCommunicator::Enqueue NcclCommunicator::all_reduce(Buffer buffer) {
  require_summable(buffer.type);
  traffic_.reduce += ring_bytes(members_, buffer, 2);
  return [=, this](cudaStream_t stream) {
    return ncclAllReduce(buffer.data, buffer.data, buffer.count, nccl_type(buffer.type), ncclSum,
                         comm_, stream);
  };
}

NcclCommunicator::Enqueue NcclCommunicator::reduce_scatter(Buffer whole) {
  require_summable(whole.type);
  const int64_t part = equal_part(members_, whole);
  const auto own = static_cast<char*>(whole.data) + part * element_size(whole.type) * rank();
  traffic_.reduce += ring_bytes(members_, whole, 1);
  return [=, this](cudaStream_t stream) {
    return ncclReduceScatter(whole.data, own, part, nccl_type(whole.type), ncclSum, comm_, stream);
  };
}

NcclCommunicator::Enqueue NcclCommunicator::gather(Buffer whole) {
  const int64_t part = equal_part(members_, whole);
  const auto own = static_cast<char*>(whole.data) + part * element_size(whole.type) * rank();
  traffic_.gather += ring_bytes(members_, whole, 1);
  return [=, this](cudaStream_t stream) {
    return ncclAllGather(own, whole.data, part, nccl_type(whole.type), comm_, stream);
  };
}

void NcclCommunicator::all_reduce_sum(Buffer buffer) { run("all_reduce_sum", all_reduce(buffer)); }
void NcclCommunicator::reduce_scatter_sum(Buffer whole) {
  run("reduce_scatter_sum", reduce_scatter(whole));
}
void NcclCommunicator::all_gather(Buffer whole) { run("all_gather", gather(whole)); }

std::unique_ptr<Pending> NcclCommunicator::start_all_reduce_sum(Buffer buffer) {
  return start("all_reduce_sum", all_reduce(buffer));
}
std::unique_ptr<Pending> NcclCommunicator::start_reduce_scatter_sum(Buffer whole) {
  return start("reduce_scatter_sum", reduce_scatter(whole));
}
std::unique_ptr<Pending> NcclCommunicator::start_all_gather(Buffer whole) {
  return start("all_gather", gather(whole));
}

std::unique_ptr<Pending> NcclCommunicator::start_send(Buffer buffer, int to) {
  traffic_.activation += buffer.count * element_size(buffer.type);
  return start("send", [=, this](cudaStream_t stream) {
    return ncclSend(buffer.data, buffer.count, nccl_type(buffer.type), to, comm_, stream);
  });
}

std::unique_ptr<Pending> NcclCommunicator::start_receive(Buffer buffer, int from) {
  return start("receive", [=, this](cudaStream_t stream) {
    return ncclRecv(buffer.data, buffer.count, nccl_type(buffer.type), from, comm_, stream);
  });
}

void NcclCommunicator::broadcast(Buffer buffer, int root) {
  require_root(members_, root);
  run("broadcast", [=, this](cudaStream_t stream) {
    return ncclBroadcast(buffer.data, buffer.data, buffer.count, nccl_type(buffer.type), root,
                         comm_, stream);
  });
}

/// NCCL has no barrier; a sum of one byte cannot end before all have begun it.
void NcclCommunicator::barrier() {
  if (size() == 1) return;
  void* memory = nullptr;
  check(cudaMalloc(&memory, 1), "barrier");
  const std::unique_ptr<void, decltype(&cudaFree)> byte(memory, &cudaFree);
  check(cudaMemsetAsync(memory, 0, 1, stream()), "barrier");
  run("barrier", [&](cudaStream_t stream) {
    return ncclAllReduce(memory, memory, 1, ncclUint8, ncclSum, comm_, stream);
  });
}

ncclUniqueId shared_id(Communicator& host) {
  ncclUniqueId id{};
  if (host.rank() == 0 && ncclGetUniqueId(&id) != ncclSuccess) {
    throw std::runtime_error(
        fmt::format("NCCL found no network to start on: {}", ncclGetLastError(nullptr)));
  }
  std::array<int64_t, NCCL_UNIQUE_ID_BYTES / sizeof(int64_t)> words{};
  static_assert(sizeof(words) == sizeof(id));
  std::memcpy(words.data(), &id, sizeof(id));
  host.broadcast({words.data(), static_cast<int64_t>(words.size()), ElementType::int64}, 0);
  std::memcpy(&id, words.data(), sizeof(id));
  return id;
}

}  // namespace

int cuda_device_count() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

std::unique_ptr<Communicator> make_nccl_world(Communicator& host, const NcclOptions& options) {
  if (cuda_device_count() == 0) {
    throw UserError(
        "NCCL needs a CUDA device and this process sees none: check nvidia-smi and "
        "CUDA_VISIBLE_DEVICES, or set distributed.backend = \"mpi\"");
  }
  const ncclUniqueId id = shared_id(host);
  const Membership members = world_membership(host.rank(), host.size());
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  ncclComm_t comm = nullptr;
  const ncclResult_t result = ncclCommInitRankConfig(&comm, host.size(), id, host.rank(), &config);
  if (result != ncclSuccess && result != ncclInProgress) {
    throw std::runtime_error(failure_line(members, "make_nccl_world", ncclGetErrorString(result)));
  }
  auto world = std::make_unique<NcclCommunicator>(options, members, comm);
  world->wait_until_made("make_nccl_world");
  return world;
}

}  // namespace rondo
