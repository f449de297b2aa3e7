// LibTorch's types of elements by our names.
#pragma once

#include <ATen/core/Tensor.h>

#include <stdexcept>

#include "model/definition/element.h"

namespace rondo {

inline at::ScalarType dtype_of(Element element) {
  switch (element) {
    case Element::float32:
      return at::kFloat;
    case Element::float64:
      return at::kDouble;
    case Element::bfloat16:
      return at::kBFloat16;
    case Element::float16:
      return at::kHalf;
  }
  throw std::logic_error("no such element type");
}

}  // namespace rondo
