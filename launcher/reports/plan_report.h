// A plan as people and programs read it.
#pragma once

#include <string>

#include "distributed/plan/candidates.h"
#include "distributed/plan/plan.h"

namespace rondo {

/// What the plan is for, the candidates side by side (the best of every pipeline and route), the
/// winner and why, and what every pipeline rank runs and holds.
std::string plan_report(const PlanRequest& request, const Plan& plan);

/// The same for programs, one JSON object: `pipeline_ranks` (the layers of each chunk, the
/// components held), `replica_groups` (`bytes`: sent by all members in a step's sum), `copies`,
/// `bubble`, `step_s`, `memory_bytes` per pipeline rank, `bytes` that all ranks send in a step by
/// kind, `candidates`, `worth` (see worth_report.h).
std::string plan_json(const Plan& plan, const Workload& work, bool truncated = false);

}  // namespace rondo
