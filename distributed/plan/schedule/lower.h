// Adds communication to a program of computations.
#pragma once

#include <vector>

#include "distributed/plan/group.h"
#include "distributed/plan/placement.h"
#include "distributed/plan/schedule/action.h"

namespace rondo {

/// The computations of `program` in one order that respects every rank's list and every dependency:
/// by starting time where a forward, each half of a backward and a message take 1. (That messages
/// take time lets the receives that follow this order be posted before the computation during which
/// they arrive.) Shorter than the program if its lists hang.
std::vector<Action> execution_order(const Program& program, const Placement& placement);

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
