// Everything that decides which function is learned, and how its gradients add.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/definition/model_spec.h"
#include "model/definition/sharing_map.h"

namespace rondo {

struct ModelDefinition {
  ModelSpec spec;
  SharingMap sharing;
  int64_t relaxation_rank = 0;   ///< 0 = strict tying
  std::string gradient = "sum";  ///< how repeated uses add: see gradient_weights
  std::vector<int> layers = {};  ///< whose adapters the layers use, in part of a model; empty: own
};

}  // namespace rondo
