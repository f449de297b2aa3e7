// Host memory and control between ranks, by MPI.
#pragma once

#include <memory>

#include "distributed/comm/communicator.h"
#include "distributed/comm/mpi_session.h"

namespace rondo {

/// All ranks of the job. Collective over them; an MpiSession must be alive. A call of the world or
/// of its subgroups that is not finished within `deadline_s` seconds ends the job. Sums do not
/// depend on the MPI library or on timing: same inputs and same members, same bits. A communicator
/// is used by one thread at a time; different communicators may be used at once. Failures of MPI
/// are std::runtime_error with operation, group and rank.
std::unique_ptr<Communicator> make_mpi_world(double deadline_s);

}  // namespace rondo
