// One value in the context of an autograd function.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/custom_function.h>

#include <utility>

namespace rondo {

template <typename Value>
struct Kept : torch::CustomClassHolder {
  explicit Kept(Value kept) : value(std::move(kept)) {}
  Value value;
};

/// Keeps `value` for backward, as one reference-counted object. Parameters travel this way: as
/// saved variables their updates in place would be taken for a mistake.
template <typename Value>
void keep(torch::autograd::AutogradContext* context, Value value) {
  context->saved_data["kept"] =
      at::IValue::make_capsule(c10::make_intrusive<Kept<Value>>(std::move(value)));
}

/// What keep() was given. Lives as long as the context.
template <typename Value>
const Value& kept(torch::autograd::AutogradContext* context) {
  return static_cast<const Kept<Value>&>(*context->saved_data.at("kept").toCapsule()).value;
}

}  // namespace rondo
