#include "checkpoint/writers.h"

#include <mpi.h>

#include "base/user_error.h"

namespace rondo {

Writers::Writers(bool parallel) {
  int started = 0;
  int finished = 0;
  MPI_Initialized(&started);
  MPI_Finalized(&finished);
  parallel_ = parallel && started != 0 && finished == 0;
  if (!parallel_) return;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
  MPI_Comm_size(MPI_COMM_WORLD, &size_);
}

void Writers::agree(const std::string& error) const {
  if (!parallel_) {
    if (!error.empty()) throw UserError(error);
    return;
  }
  const int mine = error.empty() ? size_ : rank_;
  int first = size_;
  MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
  if (first == size_) return;
  int64_t length = static_cast<int64_t>(error.size());
  MPI_Bcast(&length, 1, MPI_INT64_T, first, MPI_COMM_WORLD);
  std::string text = error;
  text.resize(static_cast<size_t>(length));
  MPI_Bcast(text.data(), static_cast<int>(length), MPI_CHAR, first, MPI_COMM_WORLD);
  throw UserError(text);
}

std::vector<int64_t> Writers::of_first(std::vector<int64_t> values) const {
  if (!parallel_) return values;
  auto count = static_cast<int64_t>(values.size());
  MPI_Bcast(&count, 1, MPI_INT64_T, 0, MPI_COMM_WORLD);
  values.resize(static_cast<size_t>(count));
  MPI_Bcast(values.data(), static_cast<int>(count), MPI_INT64_T, 0, MPI_COMM_WORLD);
  return values;
}

std::vector<uint64_t> Writers::sum(std::vector<uint64_t> values) const {
  if (parallel_) {
    MPI_Allreduce(MPI_IN_PLACE, values.data(), static_cast<int>(values.size()), MPI_UINT64_T,
                  MPI_SUM, MPI_COMM_WORLD);
  }
  return values;
}

}  // namespace rondo
