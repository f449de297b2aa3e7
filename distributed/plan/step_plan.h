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

/// How a step goes over the recurring layers.
struct StepPasses {
  int passes = 0;          ///< the first so many
  int trained_passes = 0;  ///< gradients go back through the last so many only; 0: through all
  auto operator<=>(const StepPasses&) const = default;
};

/// The part of `whole` that makes fewer passes. Weights stay where they are; only the program is
/// another one. Throws std::logic_error for more passes than the map has, or none, and UserError
/// where the schedule was given: its order is that of the whole.
StepPlan plan_step(const StepPlan& whole, const StepPasses& depth);

}  // namespace rondo
