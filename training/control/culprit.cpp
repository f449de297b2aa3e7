#include "training/control/culprit.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "distributed/comm/agree.h"
#include "distributed/comm/gather.h"
#include "training/control/health.h"

namespace rondo {
namespace {

constexpr int no_layer = std::numeric_limits<int>::max();

struct Found {
  int layer = no_layer;
  std::string component = {};
};

/// The weights after which a half is named: a branch asks for its norm first, then for them.
std::string weights_of(const HalfSeen& seen) {
  std::string name = "a half without weights";
  for (const View& view : seen.views) {
    if (view.component.kind == Kind::slot) name = to_string(view.component);
  }
  return name;
}

/// On this rank.
Found first_in_forward(LocalModel& model, StreamProbe& probe, const MicrobatchSource& source,
                       int count) {
  Found found;
  const auto look = [&](const HalfSeen& seen) {
    if (seen.place.layer >= found.layer || all_finite(seen.after.x)) return;
    if (all_finite(seen.before.x)) {
      found = {seen.place.layer, weights_of(seen)};
    } else if (seen.place.layer == 0) {
      found = {seen.place.layer, "embedding"};
    }
  };
  probe.during([&] { model.evaluate(source, count); }, look);
  return found;
}

int lowest(int value, Communicator& host) {
  const std::vector<int64_t> values = everyones(host, int64_t{value});
  return static_cast<int>(*std::min_element(values.begin(), values.end()));
}

}  // namespace

std::string first_culprit(LocalModel& model, StreamProbe& probe, const MicrobatchSource& source,
                          int count, World world) {
  const std::optional<Component> gradient = model.optimizer().not_finite();
  const Found found = first_in_forward(model, probe, source, count);
  const int layer = lowest(found.layer, world.host);
  std::string mine;
  if (layer == no_layer) {
    if (gradient) mine = "the gradient of " + to_string(*gradient);
  } else if (found.layer == layer) {
    mine = fmt::format("{} in layer {}, on rank {}", found.component, layer, world.rank());
  }
  return first_complaint(world.host, mine);
}

}  // namespace rondo
