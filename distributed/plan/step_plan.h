// What a step executes: a value that can be printed, compared and checked without a device.
#pragma once

#include <vector>

#include "distributed/plan/group.h"
#include "distributed/plan/placement.h"
#include "distributed/plan/schedule/action.h"
#include "distributed/plan/schedule/schedule.h"

namespace rondo {

struct StepPlan {
  ModelDefinition model = {};               ///< with the layers that are executed
  Placement placement = {};                 ///< of these
  std::vector<ComponentGroup> groups = {};  ///< of the whole model, with the chunks that use them
  ScheduleKind schedule = ScheduleKind::one_forward_one_backward;
  int microbatches = 1;  ///< per replica
  Program program = {};  ///< lowered and checked, per pipeline rank
};

/// What a step leaves out of the whole one.
struct StepShape {
  int passes = 0;          ///< over the recurring layers, the first so many; 0: all
  int trained_passes = 0;  ///< gradients go back through the last so many only; 0: through all
  int microbatches = 0;    ///< per replica; 0: as many as the whole step
  auto operator<=>(const StepShape&) const = default;
};

/// The part of `whole` that `shape` leaves. Weights stay where they are; only the program is
/// another one. Throws std::logic_error for more passes than the map has, and UserError where the
/// schedule was given: its order is that of the whole.
StepPlan plan_step(const StepPlan& whole, const StepShape& shape);

}  // namespace rondo
