#include "distributed/comm/mpi_session.h"

#include <mpi.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <thread>

#include "base/user_error.h"

namespace rondo {

bool mpi_is_running() {
  int initialized = 0;
  int finalized = 0;
  MPI_Initialized(&initialized);
  MPI_Finalized(&finalized);
  return initialized && !finalized;
}

namespace {

bool has_other_ranks() {
  if (!mpi_is_running()) return false;
  int size = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return size > 1;
}

/// Open MPI moves large messages over TCP by writing into the receiver's memory, in a protocol that
/// halves the throughput of a link on which both ends send at once, as in a ring: 6 of 11.9 MB/s on
/// a link of 100 Mbit/s, where plain sends reach 11.6. What the user has set stands.
void prefer_plain_sends_over_tcp() {
  setenv("OMPI_MCA_btl_tcp_flags", "send,inplace,need-ack,need-csum,hetero-rdma",
         /*overwrite=*/0);
}

/// Within a node Open MPI reads the sender's memory. In a container whose system-call filter
/// forbids that its messages are lost ("Read -1, expected 32768"); they go through shared memory
/// then. What the user has set stands.
void share_memory_where_reading_is_forbidden() {
  char source = 1;
  char target = 0;
  const iovec from{&source, 1};
  const iovec into{&target, 1};
  if (process_vm_readv(getpid(), &into, 1, &from, 1, 0) == 1) return;
  setenv("OMPI_MCA_btl_vader_single_copy_mechanism", "none", /*overwrite=*/0);
}

/// The ranks that share this node's memory. Collective, like its end.
struct NodeComm {
  MPI_Comm comm = MPI_COMM_NULL;

  NodeComm() {
    if (MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &comm) !=
        MPI_SUCCESS) {
      throw std::runtime_error("MPI cannot tell which ranks share a node");
    }
  }
  ~NodeComm() { MPI_Comm_free(&comm); }
  NodeComm(const NodeComm&) = delete;
  NodeComm& operator=(const NodeComm&) = delete;
};

/// In memory that the ranks of a node share: whether one of them is ending the job.
using Notice = std::atomic<bool>;
static_assert(Notice::is_always_lock_free);

/// MPI keeps the notice, beside MPI_COMM_SELF.
int notice_key() {
  static const int key = [] {
    int made = MPI_KEYVAL_INVALID;
    MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, MPI_COMM_NULL_DELETE_FN, &made, nullptr);
    return made;
  }();
  return key;
}

/// Null without MPI, and where the ranks of a node share no memory.
Notice* shared_notice() {
  if (!mpi_is_running()) return nullptr;
  Notice* notice = nullptr;
  int found = 0;
  MPI_Comm_get_attr(MPI_COMM_SELF, notice_key(), static_cast<void*>(&notice), &found);
  return found != 0 ? notice : nullptr;
}

/// MPI frees the memory when it ends.
void share_notice() {
  const NodeComm node;
  int rank = 0;
  MPI_Comm_rank(node.comm, &rank);
  MPI_Win window = MPI_WIN_NULL;
  void* memory = nullptr;
  const MPI_Aint size = rank == 0 ? sizeof(Notice) : 0;
  if (MPI_Win_allocate_shared(size, 1, MPI_INFO_NULL, node.comm, static_cast<void*>(&memory),
                              &window) != MPI_SUCCESS) {
    return;
  }
  MPI_Aint found = 0;
  int unit = 0;
  MPI_Win_shared_query(window, 0, &found, &unit, static_cast<void*>(&memory));
  if (rank == 0) new (memory) Notice(false);
  MPI_Barrier(node.comm);
  MPI_Comm_set_attr(MPI_COMM_SELF, notice_key(), memory);
}

}  // namespace

MpiSession::MpiSession() {
  int initialized = 0;
  MPI_Initialized(&initialized);
  if (initialized) throw std::logic_error("MPI was started before; there is one MpiSession");
  prefer_plain_sends_over_tcp();
  share_memory_where_reading_is_forbidden();
  int level = MPI_THREAD_SINGLE;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &level);
  if (level < MPI_THREAD_MULTIPLE) {
    MPI_Finalize();
    throw UserError(
        "this MPI does not offer MPI_THREAD_MULTIPLE, which saving while training needs: use one "
        "that was built with it (Open MPI 4 is)");
  }
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  int size = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (size > 1) share_notice();
}

MpiSession::~MpiSession() { MPI_Finalize(); }

int rank_on_node() {
  const NodeComm node;
  int rank = 0;
  MPI_Comm_rank(node.comm, &rank);
  return rank;
}

std::vector<LocalRank> ranks_on_node() {
  const NodeComm node;
  int size = 0;
  LocalRank own{0, getpid()};
  MPI_Comm_size(node.comm, &size);
  MPI_Comm_rank(MPI_COMM_WORLD, &own.rank);
  std::vector<LocalRank> all(size);
  MPI_Allgather(&own, sizeof own, MPI_BYTE, all.data(), sizeof own, MPI_BYTE, node.comm);
  return all;
}

void wait_for_all_ranks() {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point end = Clock::now() + std::chrono::seconds(10);
  MPI_Request all = MPI_REQUEST_NULL;
  int done = MPI_Ibarrier(MPI_COMM_WORLD, &all) == MPI_SUCCESS ? 0 : 1;
  while (done == 0 && Clock::now() < end) {
    MPI_Test(&all, &done, MPI_STATUS_IGNORE);
    if (done == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

std::vector<std::string> node_names() {
  constexpr int longest = 64;  // bytes, as the system has it
  int size = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  std::array<char, longest> own{};
  gethostname(own.data(), own.size() - 1);
  std::vector<char> all(static_cast<size_t>(size) * longest);
  MPI_Allgather(own.data(), longest, MPI_CHAR, all.data(), longest, MPI_CHAR, MPI_COMM_WORLD);
  std::vector<std::string> names;
  for (size_t begin = 0; begin < all.size(); begin += longest) {
    names.emplace_back(all.data() + begin);
  }
  return names;
}

std::string rank_prefix() {
  if (!has_other_ranks()) return "";
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return "rank " + std::to_string(rank) + ": ";
}

bool job_is_ending() {
  const Notice* notice = shared_notice();
  return notice != nullptr && *notice;
}

void end_job(const std::string& line, int code) {
  Notice* notice = shared_notice();
  if (notice == nullptr || !notice->exchange(true)) {
    const std::string text = "rondo: " + line + "\n";
    // One write, so that lines of several nodes do not mix. Nothing can be done where it fails.
    [[maybe_unused]] const auto written = write(STDERR_FILENO, text.data(), text.size());
  }
  if (has_other_ranks()) {
    // MPI_Abort reaches ranks that wait and ranks that compute, but it may itself wait for a
    // launcher that is gone.
    std::thread([code] {
      std::this_thread::sleep_for(std::chrono::seconds(5));
      std::_Exit(code);
    }).detach();
    MPI_Abort(MPI_COMM_WORLD, code);
  }
  std::_Exit(code);
}

}  // namespace rondo
