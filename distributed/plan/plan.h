// Where weights live and who computes what, when: a pure function of config and world size. Every
// rank makes the same plan.
#pragma once

#include <string>
#include <vector>

#include "distributed/plan/candidates.h"
#include "distributed/plan/schedule/simulate.h"
#include "distributed/plan/step_plan.h"

namespace rondo {

struct Plan {
  Candidate chosen = {};
  PlacementCosts costs = {};          ///< of its placement
  StepPlan step = {};                 ///< of the whole depth
  Simulation simulation = {};         ///< of the pipeline, from first forward to last sum
  std::string without_pipeline = {};  ///< why a pipeline of 1 was not considered; empty: it was
  std::vector<Candidate> candidates = {};  ///< all that were considered, in order of enumeration

  const Placement& placement() const { return step.placement; }
  WorldLayout layout() const { return chosen.choice.layout(); }
  /// Return of the updated weights, within the next step.
  double gather_s() const;
};

/// The fastest plan that fits in memory, of those that the request leaves open. Throws UserError.
Plan make_plan(const PlanRequest& request);

/// The plan for a choice already made. Throws std::logic_error if its program is not sound.
Plan make_plan(const CostModel& costs, const Choice& choice);

/// A hash of everything that ranks must agree on: groups, order, program.
uint64_t fingerprint(const Plan& plan);

/// One line: why the winner won, against the best of another pipeline or route.
std::string explain(const Plan& plan);

}  // namespace rondo
