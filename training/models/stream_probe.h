// Looks at the stream between the halves of a model.
#pragma once

#include <functional>

#include "model/half.h"

namespace rondo {

/// What a half did to the stream.
struct HalfSeen {
  HalfLayer place;  ///< layer of the sharing map, and branch
  const std::vector<View>& views;
  const Stream& before;
  const Stream& after;
};

/// Shows each half of a model while somebody looks; else it costs a test a half.
class StreamProbe {
 public:
  using Look = std::function<void(const HalfSeen&)>;

  /// The builders of a model that can be looked at. This must outlive the model.
  HalfBuilders around(HalfBuilders builders) const;

  /// Shows `look` every half that runs during `work`.
  void during(const std::function<void()>& work, Look look);

 private:
  Look look_;
};

}  // namespace rondo
