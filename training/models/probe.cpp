#include "training/models/probe.h"

#include <utility>

namespace rondo {

HalfBuilders Probe::around(HalfBuilders builders) const {
  for (auto& [name, builder] : builders) {
    builder = [this, build = builder](HalfWeights& weights) -> HalfFunction {
      HalfFunction run = build(weights);
      return [this, run, views = weights.views(), layer = weights.layer()](
                 const Stream& stream, const HalfContext& context) {
        Stream after = run(stream, context);
        if (look_) look_({layer, views, stream, after});
        return after;
      };
    };
  }
  return builders;
}

void Probe::during(const std::function<void()>& work, Look look) {
  look_ = std::move(look);
  work();
  look_ = nullptr;
}

}  // namespace rondo
