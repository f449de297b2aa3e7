// From the `distributed.*` keys to a placement, or the reason why not. A route is written with one
// sign per pass over the ranks: '+' from the first rank to the last, '-' from the last to the
// first.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "distributed/plan/placement.h"
#include "distributed/plan/uses.h"

namespace rondo {

/// The `distributed.*` keys that place layers.
struct PlacementOptions {
  int pipeline = 1;
  /// contiguous (one pass) · loop (all +) · vee (alternating, + first) · mixed (+, and − for the
  /// passes that the reversed tail of `cycle_rev` covers) · or the signs themselves, "++-".
  std::string route = "contiguous";
  int passes = 0;            ///< 0: as few as give the fewest copies; signs and contiguous imply it
  bool half_layers = false;  ///< may cut between attention and feed-forward
  std::vector<int> cuts = {};     ///< half layers; empty: by `weights`
  std::vector<int> weights = {};  ///< what share of each pass each rank gets; empty: equal ones
};

/// Throws UserError with the reason and the closest placement that is valid.
Placement make_placement(const PlacementOptions& options, const ModelDefinition& model);
Placement make_placement(const PlacementOptions& options, const Uses& uses);

/// The signs of a placement, one per pass; none where some pass leaves a rank out. On one rank all
/// are '+'.
std::optional<std::string> signs_of(const Placement& placement);

/// Whether every pass goes over all ranks, in one direction.
inline bool passes_are_whole(const Placement& placement) { return signs_of(placement).has_value(); }

/// contiguous, loop, vee or mixed where the signs are one of them, else the signs; "partial" where
/// there are none.
std::string route_name(const Placement& placement);

}  // namespace rondo
