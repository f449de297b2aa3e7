// Where in a model its components are needed: worked out once, asked for every placement.
#pragma once

#include <string>
#include <vector>

#include "distributed/plan/placement.h"

namespace rondo {

/// Half layers [begin, end) and the most components that any slot has there.
struct Stretch {
  int begin = 0;
  int end = 0;
  int blocks = 0;
};

struct Uses {
  /// Components that the same halves use, and so the same chunks of every placement.
  struct Bundle {
    std::vector<int> components = {};  ///< indices into `components`, ascending
    std::vector<int> halves = {};      ///< ascending; −1: the embedding, 2·depth: the head
  };

  std::vector<std::string> components = {};  ///< see all_components
  std::vector<Bundle> bundles = {};          ///< by first component
  int depth = 0;
  bool whole_layers = false;  ///< see ModelParts
  Stretch whole = {};
  Stretch middle = {};  ///< without the layers at either end whose weights nothing else uses
};

Uses uses_of(const ModelParts& model);

/// The chunk of each of the halves −1 to 2·depth, at [half + 1].
std::vector<int> chunks_of_halves(const Placement& placement, int depth);

/// How many components more than one pipeline rank holds.
int count_copies(const Uses& uses, const Placement& placement);

}  // namespace rondo
