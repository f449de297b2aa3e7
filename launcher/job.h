// Starts and ends the ranks of a job.
#pragma once

#include <functional>

#include "distributed/comm/world.h"

namespace rondo {

/// Starts MPI and calls `body` on the ranks of this job. An exception that only this rank may have
/// (among several ranks: anything but AgreedError) ends the whole job with exit code 1.
void run_job(const std::function<void(Communicator& host)>& body);

}  // namespace rondo
