// Whether memory is shared where the map says so.
#pragma once

#include <vector>

#include "model/half.h"

namespace rondo {

/// Two layers share memory in a slot, tensor by tensor, exactly when the map gives them one
/// component; adapters are always the layer's own. Throws std::logic_error that names the slot and
/// both layers: lost ties are the most common fault of shared-layer training.
void check_ties(const std::vector<Half>& halves, const SharingMap& map);

}  // namespace rondo
