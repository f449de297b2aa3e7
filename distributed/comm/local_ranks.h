// What the system tells of the processes of this node's ranks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "distributed/comm/mpi_session.h"

namespace rondo {

/// Whether a process is stopped, as by SIGSTOP or a debugger.
bool is_stopped(int64_t process);

/// "; rank 1 (process 4711) is stopped" for those of `local` that are; empty where none is.
std::string stopped_clause(const std::vector<LocalRank>& local);

}  // namespace rondo
