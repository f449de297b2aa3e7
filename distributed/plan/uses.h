// Where in a model its components are needed: worked out once, asked for every placement.
#pragma once

#include <cstdint>
#include <vector>

#include "distributed/plan/placement.h"

namespace rondo {

/// Layers [begin, end) and the most components that any slot has there.
struct Stretch {
  int begin = 0;
  int end = 0;
  int blocks = 0;
};

struct Uses {
  /// Components that the same halves use, and so the same chunks of every placement.
  struct Bundle {
    std::vector<int> components = {};  ///< indices into `components`, ascending
    std::vector<int> halves = {};      ///< ascending; −1: the embedding, `halves`: the head
    int64_t elements = 0;              ///< of all its parameters, each component padded
  };

  std::vector<Component> components = {};  ///< of the model, in its order
  std::vector<Bundle> bundles = {};        ///< by first component
  int layers = 0;
  int branches = 2;           ///< half layers in a layer
  bool whole_layers = false;  ///< a parallel residual: no cut between the halves of a layer
  Stretch whole = {};
  Stretch middle = {};  ///< without the layers at either end whose weights nothing else uses

  int halves() const { return layers * branches; }
};

Uses uses_of(const ModelDefinition& model);

/// The chunk of each of the halves −1 to `halves`, at [half + 1].
std::vector<int> chunks_of_halves(const Placement& placement, int halves);

/// How many components more than one pipeline rank holds.
int count_copies(const Uses& uses, const Placement& placement);

}  // namespace rondo
