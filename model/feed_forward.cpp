#include "model/feed_forward.h"

namespace rondo {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct SwigluFunction : torch::autograd::Function<SwigluFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& gate_up) {
    context->save_for_backward({gate_up});
    const int64_t ffn = gate_up.size(1) / 2;
    return at::silu(gate_up.narrow(1, 0, ffn)).mul_(gate_up.narrow(1, ffn, ffn));
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const Tensor gate_up = context->get_saved_variables()[0];  // [tokens, 2·ffn]
    const Tensor& g = gradients[0];                            // [tokens, ffn]
    const int64_t ffn = g.size(1);
    const Tensor gate = gate_up.narrow(1, 0, ffn);
    Tensor result = at::empty(gate_up.sizes(), gate_up.options());
    Tensor g_gate = result.narrow(1, 0, ffn);
    Tensor g_up = result.narrow(1, ffn, ffn);
    at::mul_out(g_up, g, gate_up.narrow(1, ffn, ffn));
    at::silu_backward_out(g_gate, g_up, gate);
    at::silu_out(g_up, gate).mul_(g);
    return {result};
  }
};

}  // namespace

Tensor swiglu(const Tensor& gate_up) { return SwigluFunction::apply(gate_up); }

Tensor feed_forward(const Tensor& x, const Tensor& residual, const FeedForward& use) {
  return linear(swiglu(linear(x, use.gate_up)), use.down, residual);
}

}  // namespace rondo
