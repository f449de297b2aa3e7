// LibTorch's types of elements by our names.
#pragma once

#include <torch/types.h>

#include <stdexcept>

#include "model/definition/element.h"

namespace rondo {

inline torch::Dtype dtype_of(Element element) {
  switch (element) {
    case Element::float32:
      return torch::kFloat32;
    case Element::float64:
      return torch::kFloat64;
    case Element::bfloat16:
      return torch::kBFloat16;
    case Element::float16:
      return torch::kFloat16;
  }
  throw std::logic_error("no such element type");
}

}  // namespace rondo
