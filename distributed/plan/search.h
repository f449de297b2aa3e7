// Which placements and schedules there are to choose from, and what each costs.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "distributed/comm/sent_bytes.h"
#include "distributed/plan/cost.h"
#include "distributed/plan/placement.h"
#include "distributed/plan/schedule/schedule.h"

namespace rondo {

/// What a plan is made for: the work, the machine, and the `distributed.*` keys.
struct PlanRequest {
  Workload workload = {};
  Machine machine = {};
  int world = 1;             ///< ranks
  int64_t global_batch = 1;  ///< sequences per step over all replicas
  int pipeline = 1;          ///< 0: open
  std::string route = "auto";
  int passes = 0;              ///< 0: open
  std::vector<int> cuts = {};  ///< in half layers; empty: open
  std::string schedule = "auto";
  Program given = {};  ///< the order of schedule "given"; its messages and sums are made anew
};

/// What the planner chooses.
struct Choice {
  Placement placement = {};
  ScheduleKind schedule = ScheduleKind::one_forward_one_backward;
  int replicas = 1;
  int microbatches = 1;     ///< per replica and step
  int64_t micro_batch = 1;  ///< sequences of each
  Program given = {};       ///< computations of ScheduleKind::given
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

/// The prices of every size of microbatch that a request leaves open.
class CostModels {
 public:
  explicit CostModels(const PlanRequest& request);

  const CostModel& of(const Choice& choice) const { return models_.at(choice.micro_batch); }
  /// By ascending size.
  const std::map<int64_t, CostModel>& all() const { return models_; }

 private:
  std::map<int64_t, CostModel> models_;
};

/// What the choice costs at least: closed forms, nothing is simulated. `costs` are those of its
/// placement, of a split backward if it has one.
Candidate price(const Choice& choice, const CostModel& model, const PlacementCosts& costs);

/// Every choice that the request leaves open for the model's microbatches, cheapest kind first: by
/// pipeline, route, passes, schedule. Throws UserError when there is none, with the reason and the
/// closest valid value.
std::vector<Candidate> candidates(const PlanRequest& request, const CostModel& costs);

/// The same for all sizes of microbatches.
std::vector<Candidate> candidates(const PlanRequest& request, const CostModels& costs);

/// Whether weight gradients are computed apart from those of the inputs.
bool splits_backward(const Choice& choice);

/// How to generate the choice's schedule.
ScheduleOptions schedule_options(const Choice& choice, const PlacementCosts& costs);

/// What a simulation of the candidate's pipeline showed: its time, and the activations that each
/// rank holds at most.
void record(double pipeline_s, const std::vector<int64_t>& live_bytes, const CostModel& model,
            const PlacementCosts& costs, Candidate& candidate);

/// Times the candidate, whatever it holds. With very many microbatches a part of them is simulated
/// and the steady state extrapolated.
void simulate_candidate(const CostModel& costs, Candidate& candidate);

/// Of those that fit and are within 2 % of the fastest, the fastest of those with the fewest
/// copies; null when none fits. Simulates the most promising of every pipeline and route, and what
/// may be the fastest or may win: the rest, by its bound, is neither.
const Candidate* search(const CostModels& costs, std::vector<Candidate>& candidates);

}  // namespace rondo
