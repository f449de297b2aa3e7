#include "checkpoint/format/writers.h"

#include <mpi.h>

#include <chrono>
#include <thread>

#include "base/user_error.h"

namespace rondo {
namespace {

/// Blocking calls of MPI keep a core busy for as long as the slowest disk takes.
void wait(MPI_Request request) {
  int done = 0;
  for (MPI_Test(&request, &done, MPI_STATUS_IGNORE); done == 0;
       MPI_Test(&request, &done, MPI_STATUS_IGNORE)) {
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
}

}  // namespace

struct Writers::Group {
  Group() {
    MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &size);
  }
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;
  ~Group() { MPI_Comm_free(&comm); }

  void broadcast(void* data, int count, MPI_Datatype type, int from) const {
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Ibcast(data, count, type, from, comm, &request);
    wait(request);
  }
  void reduce(void* data, int count, MPI_Datatype type, MPI_Op op) const {
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Iallreduce(MPI_IN_PLACE, data, count, type, op, comm, &request);
    wait(request);
  }

  MPI_Comm comm = MPI_COMM_NULL;
  int rank = 0;
  int size = 1;
};

Writers Writers::alone() { return {}; }

Writers Writers::world() {
  int started = 0;
  int finished = 0;
  MPI_Initialized(&started);
  MPI_Finalized(&finished);
  Writers writers;
  if (started != 0 && finished == 0) writers.group_ = std::make_shared<const Group>();
  return writers;
}

int Writers::rank() const { return group_ ? group_->rank : 0; }

void Writers::agree(const std::string& error) const {
  if (!group_) {
    if (!error.empty()) throw UserError(error);
    return;
  }
  int first = error.empty() ? group_->size : group_->rank;
  group_->reduce(&first, 1, MPI_INT, MPI_MIN);
  if (first == group_->size) return;
  auto length = static_cast<int64_t>(error.size());
  group_->broadcast(&length, 1, MPI_INT64_T, first);
  std::string text = error;
  text.resize(static_cast<size_t>(length));
  group_->broadcast(text.data(), static_cast<int>(length), MPI_CHAR, first);
  throw UserError(text);
}

std::vector<int64_t> Writers::of_first(std::vector<int64_t> values) const {
  if (!group_) return values;
  auto count = static_cast<int64_t>(values.size());
  group_->broadcast(&count, 1, MPI_INT64_T, 0);
  values.resize(static_cast<size_t>(count));
  group_->broadcast(values.data(), static_cast<int>(count), MPI_INT64_T, 0);
  return values;
}

std::vector<uint64_t> Writers::sum(std::vector<uint64_t> values) const {
  if (group_) {
    group_->reduce(values.data(), static_cast<int>(values.size()), MPI_UINT64_T, MPI_SUM);
  }
  return values;
}

}  // namespace rondo
