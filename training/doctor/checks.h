// What a run needs of its machine, checked in seconds.
#pragma once

#include <string>

#include "model/definition/model_definition.h"
#include "training/config.h"
#include "training/doctor/finding.h"

namespace rondo {

/// Of this process: open files, cores, memory, shared memory, sizes of files. Those of a limit that
/// a run would meet are warnings, with the way to raise it. Local.
Findings check_limits(const Config& config, int ranks_here);

/// What `model` keeps on a rank of a CPU run, beside the memory that is free for the ranks of this
/// machine. A failure where a run would refuse to begin. Nothing under distributed.backend=nccl.
/// Local.
Findings check_memory_need(const Config& config, const ModelDefinition& model, int world_size,
                           int ranks_here);

/// Whether all clocks agree. Collective; on the first rank.
Findings check_clock(Communicator& host);

/// Whether the nodes are as many, and of as many ranks, as the config says. Collective; likewise.
Findings check_nodes(const Config& config, Communicator& host);

/// How fast neighbouring ranks, and ranks of neighbouring nodes, send to each other; a pair that is
/// much slower than the others is named. Collective; likewise.
Findings check_links(const Config& config, Communicator& host);

/// Whether the file system below `folder` does what checkpoints need: writes by all ranks into one
/// file that all then read, a rename that all see, locks, room, speed. Leaves nothing behind.
/// Collective; likewise.
Findings check_files(const std::string& folder, Communicator& host);

/// Whether every rank has a device, and they reach each other. Collective; likewise. Nothing under
/// distributed.backend=mpi.
Findings check_devices(const Config& config, Communicator& host);

}  // namespace rondo
