// Files that vanish under a reader.
#pragma once

namespace rondo {

/// From now on a read of a mapped file that was cut off meanwhile, or whose disk fails, ends the
/// job with one line that names the file. Call it before MPI starts, which would else answer SIGBUS
/// with its own stack trace.
void name_lost_files();

}  // namespace rondo
