// This process as one rank of an MPI job.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rondo {

struct LocalRank {
  int rank = 0;  ///< of the world
  int64_t process = 0;
};

/// MPI from its start to its end; one per process, on the stack of main. Works without mpirun, as a
/// world of one rank. Every communicator must be gone before it ends.
class MpiSession {
 public:
  /// Throws UserError where this MPI does not allow calls from several threads at once, and
  /// std::logic_error where MPI was started before.
  MpiSession();

  /// Waits for the other ranks: after an error that only this rank has, call end_job() instead.
  ~MpiSession();

  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;
};

/// Whether a session is alive.
bool mpi_is_running();

/// This rank's number among those that share its node's memory. Collective over the job.
int rank_on_node();

/// Returns when every rank of the job has called it, or after a few seconds: some may never come.
/// Collective over the job.
void wait_for_all_ranks();

/// The name of every rank's node, by rank. Collective over the job.
std::vector<std::string> node_names();

/// The ranks of this node, ascending, this one included. Collective over the job.
std::vector<LocalRank> ranks_on_node();

/// "rank 3: ", in front of a line of a job of several ranks; else empty. From any thread, with or
/// without MPI.
std::string rank_prefix();

/// Prints "rondo: <line>" to stderr, unless another rank of this node has ended the job already,
/// and ends all ranks with exit code `code`, whatever they are doing. From any thread, with or
/// without MPI.
[[noreturn]] void end_job(const std::string& line, int code = 1);

/// Whether a rank of this node has called it.
bool job_is_ending();

}  // namespace rondo
