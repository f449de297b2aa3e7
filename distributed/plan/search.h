// The best of many candidates, with as few simulations as that takes.
#pragma once

#include <vector>

#include "distributed/plan/candidates.h"

namespace rondo {

/// Of those that fit and are within 2 % of the fastest, the fastest of those with the fewest
/// copies; null when none fits. Simulates the most promising of every pipeline and route, and what
/// may be the fastest or may win: the rest, by its bound, is neither.
const Candidate* search(const CostModels& models, std::vector<Candidate>& candidates);

}  // namespace rondo
