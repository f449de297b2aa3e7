// The two ways in which bytes travel between the ranks of a job.
#pragma once

#include "distributed/comm/communicator.h"

namespace rondo {

/// Both span all ranks in the same order; not owned. With MPI alone they are the same.
struct World {
  Communicator& host;     ///< host memory and control
  Communicator& tensors;  ///< tensors where they live: device memory under NCCL

  int rank() const { return host.rank(); }
  int size() const { return host.size(); }
};

}  // namespace rondo
