// Reports of all ranks in one place.
#pragma once

#include "distributed/comm/communicator.h"

namespace rondo {

/// Copies `mine` of every member, which all have one size, to `all` on the first of them, in the
/// order of the ranks; `all` is not touched elsewhere. One small message a member, which counts as
/// an activation of `ranks`. Collective.
void gather_on_first(Communicator& ranks, Buffer mine, void* all);

}  // namespace rondo
