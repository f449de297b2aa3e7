// A parameter in ordinary LibTorch code.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <optional>

#include "model/component_store.h"

namespace rondo {

/// One use of a parameter in one layer, for code that autograd differentiates.
struct GraphParameter {
  Parameter shared;  ///< [shape]
  /// What this use contributes to the shared gradient, as in Linear.
  double gradient_weight = 1.0;
  /// What a relaxed layer adds of its own: a sum of the same shape, or for a matrix B·A.
  std::optional<Parameter> own = {};  ///< [shape]
  std::optional<Parameter> a = {};    ///< [r, in]
  std::optional<Parameter> b = {};    ///< [out, r]

  /// The values that the layer uses as a node of the graph: [shape], compute type. Backward adds
  /// their gradients to the flat buffers, in master precision, whatever the graph does with the
  /// tensor and however often tensor() is called. Without gradients (NoGradGuard) it is the values
  /// alone.
  at::Tensor tensor() const;
};

/// A single parameter in the same way: its values as a node of the graph; backward adds
/// gradient_weight times their gradient to the flat buffer.
at::Tensor in_graph(const Parameter& parameter, double gradient_weight = 1.0);

}  // namespace rondo
