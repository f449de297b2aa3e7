#include "model/operations/feed_forward.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/gelu_backward.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/silu_backward.h>
#include <torch/csrc/autograd/custom_function.h>

#include <stdexcept>

#include "model/operations/autograd_state.h"

namespace rondo {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

void activate_into(Tensor& y, const Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::silu:
      at::silu_out(y, x);
      return;
    case Activation::gelu:
      at::gelu_out(y, x, "none");
      return;
    case Activation::gelu_tanh:
      at::gelu_out(y, x, "tanh");
      return;
  }
}

Tensor activate(const Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::silu:
      return at::silu(x);
    case Activation::gelu:
      return at::gelu(x, "none");
    case Activation::gelu_tanh:
      return at::gelu(x, "tanh");
  }
  throw std::logic_error("no activation");
}

/// gx = g · activation'(x)
void activate_backward_into(Tensor& gx, const Tensor& g, const Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::silu:
      at::silu_backward_out(gx, g, x);
      return;
    case Activation::gelu:
      at::gelu_backward_out(gx, g, x, "none");
      return;
    case Activation::gelu_tanh:
      at::gelu_backward_out(gx, g, x, "tanh");
      return;
  }
}

struct GatedUnitFunction : torch::autograd::Function<GatedUnitFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& gate_up, Activation activation) {
    context->save_for_backward({gate_up});
    keep(context, activation);
    const int64_t ffn = gate_up.size(1) / 2;
    return activate(gate_up.narrow(1, 0, ffn), activation).mul_(gate_up.narrow(1, ffn, ffn));
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const Activation activation = kept<Activation>(context);
    const Tensor gate_up = context->get_saved_variables()[0];  // [tokens, 2·ffn]
    const Tensor& g = gradients[0];                            // [tokens, ffn]
    const int64_t ffn = g.size(1);
    const Tensor gate = gate_up.narrow(1, 0, ffn);
    Tensor result = at::empty(gate_up.sizes(), gate_up.options());
    Tensor g_gate = result.narrow(1, 0, ffn);
    Tensor g_up = result.narrow(1, ffn, ffn);
    at::mul_out(g_up, g, gate_up.narrow(1, ffn, ffn));
    activate_backward_into(g_gate, g_up, gate, activation);
    activate_into(g_up, gate, activation);
    g_up.mul_(g);
    return {result, Tensor()};
  }
};

}  // namespace

Tensor gated_unit(const Tensor& gate_up, Activation activation) {
  return GatedUnitFunction::apply(gate_up, activation);
}

Tensor feed_forward(const Tensor& x, const Tensor& residual, const FeedForward& use) {
  const Tensor wide = linear(x, use.up);
  const Tensor active =
      use.gated ? gated_unit(wide, use.activation) : activate(wide, use.activation);
  return use.down(active, residual);
}

}  // namespace rondo
