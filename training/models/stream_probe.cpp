#include "training/models/stream_probe.h"

#include <utility>

namespace rondo {

HalfBuilders StreamProbe::around(HalfBuilders builders) const {
  return wrapped(std::move(builders), [this](const HalfWeights& weights, HalfFunction run) {
    return [this, run = std::move(run), views = weights.views(), place = weights.place()](
               const Stream& stream, const HalfContext& context) {
      Stream after = run(stream, context);
      if (look_) look_({place, views, stream, after});
      return after;
    };
  });
}

void StreamProbe::during(const std::function<void()>& work, Look look) {
  look_ = std::move(look);
  work();
  look_ = nullptr;
}

}  // namespace rondo
