// A choice of placement and schedule, and what it costs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "distributed/comm/sent_bytes.h"
#include "distributed/plan/cost.h"
#include "distributed/plan/placement.h"
#include "distributed/plan/schedule/schedule.h"

namespace rondo {

/// What the planner chooses.
struct Choice {
  Placement placement = {};
  ScheduleKind schedule = ScheduleKind::one_forward_one_backward;
  int replicas = 1;
  int microbatches = 1;     ///< per replica and step
  int64_t micro_batch = 1;  ///< sequences of each
  Program given = {};       ///< computations of ScheduleKind::given
  Neighbours neighbours = Neighbours::stages;

  WorldLayout layout() const { return {placement.pipeline, replicas, neighbours}; }
  bool operator==(const Choice&) const = default;
};

/// A choice and what it costs.
struct Candidate {
  Choice choice = {};
  std::string route;     ///< contiguous, loop, vee, mixed or the signs
  double bound_s = 0.0;  ///< no schedule is faster on this placement
  double step_s = 0.0;   ///< a whole step with optimizer and gather; simulated, or the bound
  double bubble = 0.0;   ///< share of the pipeline's time in which ranks do not compute; likewise
  bool simulated = false;
  bool fits = true;                        ///< in the device's memory
  int copies = 0;                          ///< components that more than one pipeline rank holds
  SentBytes bytes = {};                    ///< of all ranks together, in a step
  std::vector<int64_t> memory_bytes = {};  ///< per pipeline rank; without simulation at least that

  int64_t most_memory() const;
};

/// What the choice costs at least: closed forms, nothing is simulated. `costs` are those of its
/// placement, of a split backward if it has one.
Candidate price(const Choice& choice, const CostModel& model, const PlacementCosts& costs);

/// Whether weight gradients are computed apart from those of the inputs.
bool splits_backward(const Choice& choice);

/// How to generate the choice's schedule.
ScheduleOptions schedule_options(const Choice& choice, const PlacementCosts& costs);

/// Replaces the bounds by what a simulation of the candidate's pipeline showed: its time, and the
/// activations that each rank holds at most.
void set_simulated(double pipeline_s, const std::vector<int64_t>& live_bytes,
                   const CostModel& model, const PlacementCosts& costs, Candidate& candidate);

/// Times the candidate, whatever it holds. With very many microbatches a part of them is simulated
/// and the steady state extrapolated.
void simulate_candidate(const CostModel& model, Candidate& candidate);

}  // namespace rondo
