#include "model/norm.h"

#include <cmath>

namespace rondo {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct RmsNormFunction : torch::autograd::Function<RmsNormFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Norm& use) {
    const Tensor wide = x.to(use.gain.gradient.scalar_type());
    const double root = std::sqrt(static_cast<double>(x.size(1)));
    // 1 / rms, [tokens, 1]: the row norm needs no square of the whole input.
    const Tensor scale =
        at::linalg_vector_norm(wide, 2, {1}, true).div_(root).square_().add_(use.eps).rsqrt_();
    context->save_for_backward({x, scale});
    context->saved_data["gain"] = use.gain.value;
    context->saved_data["gradient"] = use.gain.gradient;
    context->saved_data["gradient_weight"] = use.gradient_weight;
    return at::mul(wide, scale).to(x.scalar_type()).mul_(use.gain.value);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const Tensor& scale = saved[1];  // [tokens, 1]
    const auto type = scale.scalar_type();
    const Tensor unit = at::mul(saved[0].to(type), scale);  // [tokens, hidden]
    const Tensor g = gradients[0].to(type);                 // [tokens, hidden]
    Tensor product = at::mul(g, unit);                      // [tokens, hidden]
    const double weight = context->saved_data["gradient_weight"].toDouble();
    context->saved_data["gradient"].toTensor().add_(product.sum(0), weight);
    const Tensor gain = context->saved_data["gain"].toTensor().to(type);
    const Tensor inner = at::mv(product, gain).div_(unit.size(1)).unsqueeze(1);  // [tokens, 1]
    Tensor gx = at::mul_out(product, g, gain);
    gx.addcmul_(unit, inner, -1.0).mul_(scale);
    return {gx.to(saved[0].scalar_type()), Tensor()};
  }
};

}  // namespace

Tensor rms_norm(const Tensor& x, const Norm& use) { return RmsNormFunction::apply(x, use); }

}  // namespace rondo
