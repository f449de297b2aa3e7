// The two normalisations: by root mean square (Zhang & Sennrich, arXiv 1910.07467), and by mean and
// variance (Ba et al., arXiv 1607.06450).
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "model/component_store.h"
#include "model/definition/families.h"
#include "model/operations/layer_vector.h"

namespace rondo {

/// One use of a norm's gain in one layer.
struct Norm {
  LayerVector gain;                    ///< [width]
  std::optional<Parameter> bias = {};  ///< [width]; of the layer norm alone
  NormKind kind = NormKind::root_mean_square;
  double gain_offset = 0.0;  ///< as in BlockParts
  double eps = 1e-5;
  double gradient_weight = 1.0;  ///< as in Linear
};

/// x [rows, width] → x / rms(x) · (offset + gain), or (x − mean) / deviation · gain + bias;
/// statistics in master precision. Backward adds to the gradients of gain and bias.
at::Tensor normalise(const at::Tensor& x, const Norm& use);

}  // namespace rondo
