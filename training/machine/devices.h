// The device that a rank computes on.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace rondo {

/// "cpu", or "cuda": the device with the number of this rank on its node, made current here.
/// Throws UserError in a build without CUDA or where the node has fewer devices than ranks: it
/// begins with `asked`, the words that asked for the device, and ends with `otherwise`, the words
/// of the way out.
at::Device choose_device(const std::string& kind, int rank_on_node, const std::string& asked,
                         const std::string& otherwise);

/// Before anything is computed: LibTorch adds in one order on every device, so that a resumed run
/// is the straight one bit for bit.
void add_in_one_order();

}  // namespace rondo
