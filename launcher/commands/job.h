// Starts and ends the ranks of a job.
#pragma once

#include <functional>

#include "distributed/comm/world.h"

namespace rondo {

/// Reads the words of the command line, which are the same on all ranks; `speaks` on the one that
/// may answer on stdout. Returns whether there is something left to do. Throws UserError.
using ReadWords = std::function<bool(bool speaks)>;

/// Whether this process does what needs no ranks: not started by mpirun, or as its rank 0. A task
/// of Slurm always does, for srun starts any program so, each task perhaps with words of its own.
bool is_first_of_job();

/// `read_words`, then MPI and `body` on the ranks of this job. A process that no launcher started
/// reads its words before MPI starts; ranks read them together, so that one speaks for all. An
/// exception that only this rank may have (among several ranks: anything but AgreedError) ends the
/// whole job with exit code 1.
void run_job(const ReadWords& read_words, const std::function<void(Communicator& host)>& body);

}  // namespace rondo
