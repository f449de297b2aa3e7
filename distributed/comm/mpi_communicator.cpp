#include "distributed/comm/mpi_communicator.h"

#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <stdexcept>
#include <utility>

#include "base/user_error.h"
#include "distributed/comm/membership.h"
#include "distributed/comm/watchdog.h"

namespace rondo {

namespace {

// Sums of at most this many bytes go through a tree (2·log n messages), larger ones around a ring.
constexpr int64_t tree_bytes = 32 << 10;
// What a rank receives from its neighbour is added while it is still in the cache.
constexpr int64_t sum_segment = 1 << 20;
// MPI counts are ints; a multiple of every element size.
constexpr int64_t copy_segment = 1 << 30;

struct Bytes {
  std::byte* data;
  int64_t size;
};

Bytes bytes_of(const Buffer& buffer) {
  return {static_cast<std::byte*>(buffer.data), buffer.count * element_size(buffer.type)};
}

/// Segment `index` of `bytes`; empty behind its end.
Bytes segment_of(Bytes bytes, int64_t segment, int64_t index) {
  const int64_t begin = std::min(index * segment, bytes.size);
  return {bytes.data + begin, std::min(segment, bytes.size - begin)};
}

int64_t segments_in(Bytes bytes, int64_t segment) { return (bytes.size + segment - 1) / segment; }

/// Part `index` of the parts, equal but for one element, that `size` ranks have in `buffer`.
Bytes part_of(const Buffer& buffer, int index, int size) {
  const auto begin_of = [&](int64_t part) {
    return (buffer.count / size * part + buffer.count % size * part / size) *
           element_size(buffer.type);
  };
  return {static_cast<std::byte*>(buffer.data) + begin_of(index),
          begin_of(index + 1) - begin_of(index)};
}

template <class T>
void add_elements(std::byte* to, const std::byte* from, int64_t bytes) {
  T* const sums = reinterpret_cast<T*>(to);
  const T* const terms = reinterpret_cast<const T*>(from);
  const int64_t count = bytes / static_cast<int64_t>(sizeof(T));
  for (int64_t i = 0; i < count; ++i) sums[i] += terms[i];
}

using Add = void (*)(std::byte* to, const std::byte* from, int64_t bytes);

/// How a type is summed, by MPI and by us.
struct Sum {
  MPI_Datatype type;
  Add add;
};

Sum sum_of(ElementType type) {
  require_summable(type);
  if (type == ElementType::float32) return {MPI_FLOAT, add_elements<float>};
  if (type == ElementType::float64) return {MPI_DOUBLE, add_elements<double>};
  return {MPI_INT64_T, add_elements<int64_t>};
}

class MpiCommunicator final : public Communicator {
 public:
  /// Takes `comm`, null for a group of one rank.
  MpiCommunicator(std::shared_ptr<Watchdog> dog, Membership members, MPI_Comm comm)
      : dog_(std::move(dog)), members_(std::move(members)), comm_(comm) {
    if (comm_ != MPI_COMM_NULL) MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN);
  }
  ~MpiCommunicator() override {
    if (comm_ != MPI_COMM_NULL) MPI_Comm_free(&comm_);
  }

  int rank() const override { return members_.rank; }
  int size() const override { return members_.size(); }
  const std::string& name() const override { return members_.group.name; }
  Traffic traffic() const override { return traffic_; }

  std::vector<std::unique_ptr<Communicator>> subgroups(const std::vector<Group>& groups) override;
  void all_reduce_sum(Buffer buffer) override;
  void reduce_scatter_sum(Buffer whole) override;
  void all_gather(Buffer whole) override;
  void broadcast(Buffer buffer, int root) override;
  void barrier() override;

 private:
  void tree_sum(const Buffer& buffer, const char* operation);
  void ring_sum(const Buffer& buffer, const char* operation);
  void ring_gather(const Buffer& buffer, const char* operation);
  void pass(Bytes out, Bytes in, Add add, const char* operation);
  void copy_from(Bytes bytes, int root, const char* operation);
  MPI_Comm create_comm(const Group& group, const Membership& members, int tag);
  void check(int code, const char* operation) const;

  std::shared_ptr<Watchdog> dog_;
  Membership members_;
  MPI_Comm comm_;
  Traffic traffic_;
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
    result[i] = std::make_unique<MpiCommunicator>(dog_, members, comm);
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

// 64 MiB of float32 between two ranks of one node: 11 ms; MPI_Allreduce of Open MPI 4.1 takes 25.
void MpiCommunicator::all_reduce_sum(Buffer buffer) {
  const char* const operation = "all_reduce_sum";
  require_summable(buffer.type);
  if (size() == 1) return;
  const Watchdog::Watch watch(*dog_, members_, operation);
  if (bytes_of(buffer).size <= tree_bytes) {
    tree_sum(buffer, operation);
  } else {
    ring_sum(buffer, operation);
    ring_gather(buffer, operation);
  }
  traffic_.reduce += ring_bytes(members_, buffer, 2);
}

// For the same buffer 6 ms; MPI_Reduce_scatter_block takes more than 30.
void MpiCommunicator::reduce_scatter_sum(Buffer whole) {
  require_summable(whole.type);
  equal_part(members_, whole);
  if (size() == 1) return;
  const Watchdog::Watch watch(*dog_, members_, "reduce_scatter_sum");
  ring_sum(whole, "reduce_scatter_sum");
  traffic_.reduce += ring_bytes(members_, whole, 1);
}

void MpiCommunicator::all_gather(Buffer whole) {
  equal_part(members_, whole);
  if (size() == 1) return;
  const Watchdog::Watch watch(*dog_, members_, "all_gather");
  ring_gather(whole, "all_gather");
  traffic_.gather += ring_bytes(members_, whole, 1);
}

void MpiCommunicator::broadcast(Buffer buffer, int root) {
  require_root(members_, root);
  if (size() == 1) return;
  const Watchdog::Watch watch(*dog_, members_, "broadcast");
  copy_from(bytes_of(buffer), root, "broadcast");
}

void MpiCommunicator::barrier() {
  if (size() == 1) return;
  const Watchdog::Watch watch(*dog_, members_, "barrier");
  check(MPI_Barrier(comm_), "barrier");
}

/// One rank sums and all others copy its bits; MPI_Allreduce only promises to try for equal bits.
void MpiCommunicator::tree_sum(const Buffer& buffer, const char* operation) {
  const int count = static_cast<int>(buffer.count);
  const bool is_root = rank() == 0;
  const void* const terms = is_root ? MPI_IN_PLACE : buffer.data;
  void* const sums = is_root ? buffer.data : nullptr;
  check(MPI_Reduce(terms, sums, count, sum_of(buffer.type).type, MPI_SUM, 0, comm_), operation);
  copy_from(bytes_of(buffer), 0, operation);
}

/// Part p starts at rank p+1 and is added up along the ring until rank p has the sum.
void MpiCommunicator::ring_sum(const Buffer& buffer, const char* operation) {
  scratch_.resize(2 * sum_segment);
  const Add add = sum_of(buffer.type).add;
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
      check(MPI_Irecv(landing_of(i), from_size, MPI_BYTE, left, 0, comm_, &received[i % 2]),
            operation);
    }
    if (to.size > 0) {
      check(MPI_Isend(to.data, static_cast<int>(to.size), MPI_BYTE, right, 0, comm_, &sent[i % 2]),
            operation);
    }
  };

  start(0);
  for (int64_t i = 0; i < segments; ++i) {
    start(i + 1);
    check(MPI_Wait(&received[i % 2], MPI_STATUS_IGNORE), operation);
    const Bytes to = segment_of(in, segment, i);
    if (add) add(to.data, landing_of(i), to.size);
    check(MPI_Wait(&sent[i % 2], MPI_STATUS_IGNORE), operation);
  }
}

void MpiCommunicator::copy_from(Bytes bytes, int root, const char* operation) {
  for (int64_t i = 0; i < segments_in(bytes, copy_segment); ++i) {
    const Bytes segment = segment_of(bytes, copy_segment, i);
    check(MPI_Bcast(segment.data, static_cast<int>(segment.size), MPI_BYTE, root, comm_),
          operation);
  }
}

bool mpi_is_running() {
  int initialized = 0;
  int finalized = 0;
  MPI_Initialized(&initialized);
  MPI_Finalized(&finalized);
  return initialized && !finalized;
}

}  // namespace

MpiSession::MpiSession() {
  int initialized = 0;
  MPI_Initialized(&initialized);
  if (initialized) throw std::logic_error("MPI was started before; there is one MpiSession");
  int level = MPI_THREAD_SINGLE;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &level);
  if (level < MPI_THREAD_MULTIPLE) {
    MPI_Finalize();
    throw UserError(
        "this MPI does not offer MPI_THREAD_MULTIPLE, which saving while training needs: use one "
        "that was built with it (Open MPI 4 is)");
  }
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
}

MpiSession::~MpiSession() { MPI_Finalize(); }

std::unique_ptr<Communicator> make_mpi_world(double deadline_s) {
  if (!mpi_is_running()) throw std::logic_error("make_mpi_world needs a live MpiSession");
  int rank = 0;
  int size = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  auto dog = std::make_shared<Watchdog>(deadline_s);
  const Membership members = world_membership(rank, size);
  MPI_Comm comm = MPI_COMM_NULL;
  const Watchdog::Watch watch(*dog, members, "make_mpi_world");
  if (size > 1 && MPI_Comm_dup(MPI_COMM_WORLD, &comm) != MPI_SUCCESS) {
    throw std::runtime_error(failure_line(members, "make_mpi_world", "MPI_Comm_dup refused"));
  }
  return std::make_unique<MpiCommunicator>(dog, members, comm);
}

int rank_on_node() {
  MPI_Comm node = MPI_COMM_NULL;
  int rank = 0;
  const bool made = MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL,
                                        &node) == MPI_SUCCESS;
  if (!made || MPI_Comm_rank(node, &rank) != MPI_SUCCESS) {
    throw std::runtime_error("MPI cannot tell which ranks share a node");
  }
  MPI_Comm_free(&node);
  return rank;
}

void end_job(const std::string& line) {
  const std::string text = "rondo: " + line + "\n";
  // One write, so that lines of several ranks do not mix. Nothing can be done where it fails.
  [[maybe_unused]] const auto written = write(STDERR_FILENO, text.data(), text.size());
  if (mpi_is_running()) {
    // MPI_Abort reaches ranks that wait and ranks that compute, but it may itself wait for a
    // launcher that is gone.
    std::thread([] {
      std::this_thread::sleep_for(std::chrono::seconds(5));
      std::_Exit(1);
    }).detach();
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  std::_Exit(1);
}

}  // namespace rondo
