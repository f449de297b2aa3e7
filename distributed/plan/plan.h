// Where weights live and who computes what, when: a pure function of config and world size. Every
// rank makes the same plan.
#pragma once

#include <string>
#include <vector>

#include "distributed/plan/action.h"
#include "distributed/plan/replica_groups.h"
#include "distributed/plan/search.h"
#include "distributed/plan/simulate.h"

namespace rondo {

struct Plan {
  Candidate chosen = {};
  std::vector<BufferGroup> groups = {};         ///< one flat buffer each
  std::vector<ReplicaGroup> world_groups = {};  ///< the same, with their world ranks
  std::vector<int64_t> group_bytes = {};   ///< that all members of each send in a step's reduction
  std::vector<Reduction> reductions = {};  ///< what Op::reduce counts: the groups of several ranks
  std::vector<int> reduced_groups = {};    ///< index into `groups` of each
  std::vector<int> live_bounds = {};       ///< activations per pipeline rank
  Program program = {};                    ///< lowered and checked, per pipeline rank
  Simulation simulation = {};              ///< of the pipeline, from first forward to last sum
  double update_s = 0.0;                   ///< optimizer, behind it
  double gather_s = 0.0;                   ///< return of the updated weights, within the next step
  std::vector<Candidate> candidates = {};  ///< all that were considered, in order of enumeration

  const Placement& placement() const { return chosen.choice.placement; }
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
