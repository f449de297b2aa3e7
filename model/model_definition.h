// Everything that decides which function is learned, and how its gradients add.
#pragma once

#include <cstdint>
#include <string>

#include "model/model_spec.h"
#include "model/sharing_map.h"

namespace rondo {

struct ModelDefinition {
  ModelSpec spec;
  SharingMap sharing;
  int64_t relaxation_rank = 0;   ///< 0 = strict tying
  std::string gradient = "sum";  ///< how repeated uses add: see gradient_weights
};

}  // namespace rondo
