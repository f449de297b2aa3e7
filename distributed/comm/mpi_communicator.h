// Host memory and control between ranks, by MPI.
#pragma once

#include <memory>
#include <string>

#include "distributed/comm/communicator.h"

namespace rondo {

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

/// All ranks of the job. Collective over them; an MpiSession must be alive. A call of the world or
/// of its subgroups that is not finished within `deadline_s` seconds ends the job. Sums do not
/// depend on the MPI library or on timing: same inputs and same members, same bits. A communicator
/// is used by one thread at a time; different communicators may be used at once. Failures of MPI
/// are std::runtime_error with operation, group and rank.
std::unique_ptr<Communicator> make_mpi_world(double deadline_s);

/// This rank's number among those that share its node's memory. Collective over the job.
int rank_on_node();

/// Prints "rondo: <line>" to stderr and ends all ranks of the job with exit code 1, whatever they
/// are doing. From any thread, with or without MPI.
[[noreturn]] void end_job(const std::string& line);

}  // namespace rondo
