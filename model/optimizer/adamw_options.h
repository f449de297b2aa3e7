// The settings of AdamW, without the tensors.
#pragma once

namespace rondo {

/// `optimizer.*`; decay is decoupled and applies to tensors of two or more dimensions.
struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double weight_decay = 0.1;
};

}  // namespace rondo
