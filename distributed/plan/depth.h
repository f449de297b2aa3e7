// A step that makes fewer passes over the recurring layers than the plan was made for. Weights stay
// where the plan put them; only the program is another one.
#pragma once

#include <vector>

#include "distributed/plan/plan.h"
#include "model/definition/recurrence.h"

namespace rondo {

/// How a step goes over the recurring layers.
struct StepDepth {
  int passes = 0;          ///< the first so many
  int trained_passes = 0;  ///< gradients go back through the last so many only; 0: through all
  auto operator<=>(const StepDepth&) const = default;
};

/// What a step executes.
struct StepPlan {
  std::vector<int> layers = {};          ///< of the whole model
  Placement placement = {};              ///< of these, on the ranks of the plan
  std::vector<BufferGroup> groups = {};  ///< the plan's, with the chunks of this placement
  std::vector<int> reduced_groups = {};  ///< what Op::reduce counts
  Program program = {};                  ///< lowered and checked, per pipeline rank
};

/// The whole depth, as the plan has it.
StepPlan whole_step(const Plan& plan, const ModelParts& model);

/// A part of it. Throws std::logic_error for more passes than the map has, or none.
StepPlan step_of(const Plan& plan, const ModelParts& model, const StepDepth& depth);

}  // namespace rondo
