// Adds communication to a program of computations.
#pragma once

#include <vector>

#include "distributed/plan/group.h"
#include "distributed/plan/placement.h"
#include "distributed/plan/schedule/action.h"

namespace rondo {

/// Without messages and sums.
Program computations_of(Program program);

/// Adds sends, receives and reduces to a program of computations. In execution order, each result
/// that another rank needs is followed by its send, and its receive is placed at the same point of
/// the peer's list; a reduce is placed at the same point of all its ranks' lists, after the last
/// computation that adds to its group. So even if every call blocked until its peers made the
/// matching one, no order could hang, and all ranks have one order of reduces: that in which they
/// become final. Neighbours on one rank exchange nothing. Throws UserError if the lists hang or
/// hold anything but computations of the rank's own chunks.
Program lower(const Program& program, const Placement& placement,
              const std::vector<ComponentGroup>& groups);

}  // namespace rondo
