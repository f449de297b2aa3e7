#include "training/models/stream_probe.h"

#include <utility>

namespace rondo {

HalfBuilders StreamProbe::around(HalfBuilders builders) const {
  for (auto& [name, builder] : builders) {
    builder = [this, build = builder](HalfWeights& weights) -> HalfFunction {
      HalfFunction run = build(weights);
      return [this, run, views = weights.views(), place = weights.place()](
                 const Stream& stream, const HalfContext& context) {
        Stream after = run(stream, context);
        if (look_) look_({place, views, stream, after});
        return after;
      };
    };
  }
  return builders;
}

void StreamProbe::during(const std::function<void()>& work, Look look) {
  look_ = std::move(look);
  work();
  look_ = nullptr;
}

}  // namespace rondo
