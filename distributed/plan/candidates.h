// Enumerates the placements and schedules that a request leaves open.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "distributed/plan/price.h"

namespace rondo {

/// Input of the planner: the work, the machine, and the `distributed.*` keys.
struct PlanRequest {
  Workload workload = {};
  Machine machine = {};
  int world = 1;             ///< ranks
  int64_t global_batch = 1;  ///< sequences per step over all replicas
  int pipeline = 1;          ///< 0: open
  std::string route = "auto";
  int passes = 0;  ///< 0: open
  std::string neighbours = "auto";
  std::vector<int> cuts = {};  ///< in half layers; empty: open
  std::string schedule = "auto";
  Program given = {};  ///< the order of schedule "given"; its messages and sums are made anew
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

/// Every choice that the request leaves open for the model's microbatches, cheapest kind first: by
/// pipeline, route, passes, schedule. Throws UserError when there is none, with the reason and the
/// closest valid value.
std::vector<Candidate> candidates(const PlanRequest& request, const CostModel& model);

/// Candidates for every size of microbatch in `models`, smallest first. Throws UserError likewise.
std::vector<Candidate> candidates(const PlanRequest& request, const CostModels& models);

}  // namespace rondo
