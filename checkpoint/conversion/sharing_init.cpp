#include "checkpoint/conversion/sharing_init.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/user_error.h"

namespace rondo {

std::vector<std::string> sharing_inits() {
  return {"stepwise", "stepwise_rounded", "lower", "upper", "average", "owner", "random"};
}

SharingInit parse_sharing_init(const std::string& name) {
  const std::vector<std::string> names = sharing_inits();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) {
    throw UserError(fmt::format("init = '{}': use one of {}", name, fmt::join(names, ", ")));
  }
  return static_cast<SharingInit>(found - names.begin());
}

std::vector<int> source_layers(const SharingMap& map, Slot slot, int id, SharingInit init) {
  const int depth = map.depth();
  const int unique = map.unique(slot);
  const int steps = std::max(1, unique - 1);
  std::vector<int> users;
  switch (init) {
    case SharingInit::stepwise:
      return {id * (depth - 1) / steps};
    case SharingInit::stepwise_rounded:
      return {(2 * id * (depth - 1) + steps) / (2 * steps)};
    case SharingInit::lower:
      return {id};
    case SharingInit::upper:
      return {depth - unique + id};
    case SharingInit::random:
      return {};
    case SharingInit::average:
    case SharingInit::owner:
      break;
  }
  for (int layer = 0; layer < depth; ++layer) {
    if (map.id(slot, layer) == id) users.push_back(layer);
  }
  if (init == SharingInit::owner) users.resize(1);
  return users;
}

}  // namespace rondo
