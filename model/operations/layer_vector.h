// A vector of a component, a bias or a gain, as one layer uses it.
#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "model/component_store.h"

namespace rondo {

/// The component's values and, in a relaxed model, what the layer adds to them. A vector has no low
/// rank to speak of, so that the layer's own is as long as the component's.
struct LayerVector {
  Parameter shared;                   ///< [n]
  std::optional<Parameter> own = {};  ///< [n]

  at::Tensor value() const { return own ? shared.value + own->value : shared.value; }

  /// Of the component and of the layer's own, for add_gradient().
  std::vector<at::Tensor> gradients() const {
    std::vector<at::Tensor> list = {shared.gradient};
    if (own) list.push_back(own->gradient);
    return list;
  }
};

/// Adds `gradient` [n] to LayerVector::gradients(): `weight` of it to the component's, as in
/// Linear, and all of it to the layer's own.
inline void add_gradient(const std::vector<at::Tensor>& gradients, const at::Tensor& gradient,
                         double weight) {
  gradients[0].add_(gradient, weight);
  if (gradients.size() > 1) gradients[1].add_(gradient);
}

}  // namespace rondo
