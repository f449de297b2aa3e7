#include "model/operations/norm.h"

#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/native_layer_norm.h>
#include <ATen/ops/native_layer_norm_backward.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <stdexcept>

#include "model/operations/autograd_state.h"

namespace rondo {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// What backward reads besides x and its statistics.
struct State {
  Norm use;
  Tensor gain;  ///< [width]
};

void add_gain_gradient(const Norm& use, const Tensor& gradient) {
  add_gradient(use.gain.gradients(), gradient, use.gradient_weight);
}

Tensor offset_gain(const Tensor& gain, double offset) {
  return offset == 0.0 ? gain : gain + offset;
}

struct RmsNormFunction : torch::autograd::Function<RmsNormFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Norm& use) {
    const Tensor wide = x.to(master_of(x.scalar_type()));
    const double root = std::sqrt(static_cast<double>(x.size(1)));
    // 1 / rms, [rows, 1]: the row norm needs no square of the whole input.
    const Tensor scale =
        at::linalg_vector_norm(wide, 2, {1}, true).div_(root).square_().add_(use.eps).rsqrt_();
    context->save_for_backward({x, scale});
    const Tensor gain = use.gain.value();
    keep(context, State{use, gain});
    return at::mul(wide, scale).to(x.scalar_type()).mul_(offset_gain(gain, use.gain_offset));
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto& [use, gains] = kept<State>(context);
    const auto saved = context->get_saved_variables();
    const Tensor& scale = saved[1];  // [rows, 1]
    const auto type = scale.scalar_type();
    const Tensor unit = at::mul(saved[0].to(type), scale);  // [rows, width]
    const Tensor g = gradients[0].to(type);                 // [rows, width]
    Tensor product = at::mul(g, unit);                      // [rows, width]
    add_gain_gradient(use, product.sum(0));
    const Tensor gain = offset_gain(gains.to(type), use.gain_offset);
    const Tensor inner = at::mv(product, gain).div_(unit.size(1)).unsqueeze(1);  // [rows, 1]
    Tensor gx = at::mul_out(product, g, gain);
    gx.addcmul_(unit, inner, -1.0).mul_(scale);
    return {gx.to(saved[0].scalar_type()), Tensor()};
  }
};

struct LayerNormFunction : torch::autograd::Function<LayerNormFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Norm& use) {
    const Tensor gain = use.gain.value();
    const auto [y, mean, scale] =
        at::native_layer_norm(x, gain.sizes(), gain, use.bias->value, use.eps);
    context->save_for_backward({x, mean, scale});  // mean and 1 / deviation: [rows, 1]
    keep(context, State{use, gain});
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto& [use, gain] = kept<State>(context);
    const auto saved = context->get_saved_variables();
    const auto [gx, g_gain, g_bias] = at::native_layer_norm_backward(
        gradients[0], saved[0], gain.sizes(), saved[1], saved[2], gain, gain, {true, true, true});
    add_gain_gradient(use, g_gain);
    use.bias->gradient.add_(g_bias, use.gradient_weight);
    return {gx, Tensor()};
  }
};

}  // namespace

Tensor normalise(const Tensor& x, const Norm& use) {
  if (use.kind == NormKind::layer && use.gain_offset != 0.0) {
    throw std::logic_error("a gain is offset in RMS norms only");
  }
  return use.kind == NormKind::layer ? LayerNormFunction::apply(x, use)
                                     : RmsNormFunction::apply(x, use);
}

}  // namespace rondo
