// Which layers of a model a shared component is made of.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/definition/sharing_map.h"

namespace rondo {

/// Which of the N source layers a component of a slot with M components is made of (Relaxed
/// Recursive Transformers, arXiv 2410.20672):
/// `stepwise` layer floor(i·(N−1)/(M−1)), `stepwise_rounded` the nearest to that fraction, `lower`
/// layer i, `upper` layer N−M+i, `average` the mean over the layers that use the component, `owner`
/// the first of them, `random` none: it is drawn. i is the component's id.
enum class SharingInit : uint8_t {
  stepwise,
  stepwise_rounded,
  lower,
  upper,
  average,
  owner,
  random
};

/// "stepwise", …; throws UserError that lists them.
SharingInit parse_sharing_init(const std::string& name);
std::vector<std::string> sharing_inits();

/// The source layers of component `id` of `slot`, ascending; one, except for `average` and for
/// `random`, which has none.
std::vector<int> source_layers(const SharingMap& map, Slot slot, int id, SharingInit init);

}  // namespace rondo
