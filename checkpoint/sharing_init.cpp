#include "checkpoint/sharing_init.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "base/user_error.h"

namespace rondo {
namespace {

/// What prelude and coda leave: layers [begin, end) between those at both ends that share nothing,
/// and the components that are used there.
struct Core {
  int begin = 0;
  int end = 0;
  std::vector<int> ids;  ///< ascending

  bool has(int id) const { return std::binary_search(ids.begin(), ids.end(), id); }

  /// The layer, counted from `begin`, that component `id` starts from.
  int pick(int id, SharingInit init) const {
    const int place = static_cast<int>(std::lower_bound(ids.begin(), ids.end(), id) - ids.begin());
    const int unique = static_cast<int>(ids.size());
    const int last = end - begin - 1;
    const int steps = std::max(1, unique - 1);
    if (init == SharingInit::lower) return place;
    if (init == SharingInit::upper) return last + 1 - unique + place;
    const bool rounded = init == SharingInit::stepwise_rounded;
    return rounded ? (2 * place * last + steps) / (2 * steps) : place * last / steps;
  }
};

Core core_of(const std::vector<int>& list) {
  const auto shares = [&](int id) { return std::count(list.begin(), list.end(), id) > 1; };
  Core core;
  core.end = static_cast<int>(list.size());
  while (core.begin < core.end && !shares(list[static_cast<size_t>(core.begin)])) ++core.begin;
  while (core.begin < core.end && !shares(list[static_cast<size_t>(core.end - 1)])) --core.end;
  const std::set<int> ids(list.begin() + core.begin, list.begin() + core.end);
  core.ids.assign(ids.begin(), ids.end());
  return core;
}

}  // namespace

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
  const std::vector<int>& list = map.of(slot);
  std::vector<int> users;
  for (int layer = 0; layer < map.depth(); ++layer) {
    if (list[static_cast<size_t>(layer)] == id) users.push_back(layer);
  }
  if (init == SharingInit::average) return users;
  if (init == SharingInit::random) return {};
  const Core core = core_of(list);
  if (init == SharingInit::owner || !core.has(id)) return {users.front()};
  return {core.begin + core.pick(id, init)};
}

}  // namespace rondo
