// The rank that the others wait for.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "distributed/plan/group.h"
#include "training/step_metrics.h"

namespace rondo {

/// A rank that takes longer for its own work than its likes: ranks of other replicas that run the
/// same chunks, or, in a run of one replica, all ranks.
struct Straggler {
  int rank = 0;
  Phase phase = Phase::other;  ///< in which it loses most
  double seconds = 0.0;        ///< of that phase, a step
  double usual_s = 0.0;        ///< median of its likes
};

/// Among `ranks`, in their order: the one that is furthest behind, if its own work takes half as
/// much again as the median of its likes, and longer by a fifth of a step and by 20 ms. Waiting for
/// others is nobody's own work.
std::optional<Straggler> find_straggler(const std::vector<RankMetrics>& ranks,
                                        const WorldLayout& layout);

/// "rank 3 is slow: 1.31 s a step in the phase forward, its likes 0.62 s".
std::string describe(const Straggler& straggler);

}  // namespace rondo
