// How a branch joins the residual stream.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "model/component_store.h"
#include "model/operations/linear.h"

namespace rondo {

/// Factors of one layer's use of a branch, [1] each.
struct BranchScales {
  Parameter branch;
  Parameter residual;
};

/// The last linear of a branch, and the sum with the stream.
struct Join {
  Linear last;                              ///< [hidden, in]
  std::optional<BranchScales> scales = {};  ///< without them both factors are one

  /// y [rows, in], x [rows, hidden] → residual·x + branch·last(y), [rows, hidden].
  at::Tensor operator()(const at::Tensor& y, const at::Tensor& x) const;
};

}  // namespace rondo
