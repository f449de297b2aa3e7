// The settings of AdamW, without the tensors.
#pragma once

namespace rondo {

/// `optimizer.*`; decay is decoupled and applies by role (ParameterSpec::decays).
struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double weight_decay = 0.1;
};

}  // namespace rondo
