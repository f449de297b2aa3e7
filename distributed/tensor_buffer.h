// A tensor's memory as a communicator sees it.
#pragma once

#include <ATen/core/Tensor.h>

#include "distributed/comm/communicator.h"

namespace rondo {

/// Not owned: `t`, which is contiguous, must live as long as a call uses it. Throws
/// std::logic_error for an element type that no communicator moves.
Buffer buffer_of(const at::Tensor& t);

}  // namespace rondo
