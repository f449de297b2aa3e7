#include "model/attention.h"

namespace rondo {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// `direction` = −1 turns back.
Tensor turned(const Tensor& x, const Tensor& cosine, const Tensor& sine, double direction) {
  const int64_t half = x.size(3) / 2;
  const Tensor first = x.narrow(3, 0, half);
  const Tensor second = x.narrow(3, half, half);
  Tensor y = at::empty(x.sizes(), x.options());
  Tensor y_first = y.narrow(3, 0, half);
  Tensor y_second = y.narrow(3, half, half);
  at::mul_out(y_first, first, cosine).addcmul_(second, sine, -direction);
  at::mul_out(y_second, second, cosine).addcmul_(first, sine, direction);
  return y;
}

struct RotateFunction : torch::autograd::Function<RotateFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const RotaryTable& table) {
    context->saved_data["cosine"] = table.cosine;
    context->saved_data["sine"] = table.sine;
    return turned(x, table.cosine, table.sine, 1.0);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    return {turned(gradients[0], context->saved_data["cosine"].toTensor(),
                   context->saved_data["sine"].toTensor(), -1.0),
            Tensor()};
  }
};

}  // namespace

RotaryTable::RotaryTable(const ModelSpec& model, int64_t sequence, torch::TensorOptions options) {
  const auto wide = torch::dtype(torch::kFloat64);
  const Tensor pair = torch::arange(0, model.head_dim, 2, wide);  // [head_dim/2]
  const Tensor frequency = torch::pow(model.rope_theta, -pair / model.head_dim);
  const Tensor angle = torch::outer(torch::arange(sequence, wide), frequency);
  const auto shaped = [&](const Tensor& t) {
    return t.view({1, sequence, 1, model.head_dim / 2}).to(options);
  };
  cosine = shaped(angle.cos());
  sine = shaped(angle.sin());
}

Tensor rotate(const Tensor& x, const RotaryTable& table) { return RotateFunction::apply(x, table); }

Tensor attend(const Tensor& x, const Tensor& residual, const Attention& use, const ModelSpec& model,
              const RotaryTable& table) {
  const int64_t sequence = table.cosine.size(1);
  const int64_t groups = model.heads + 2 * model.kv_heads;
  const Tensor qkv = linear(x, use.qkv).view({-1, sequence, groups, model.head_dim});
  const Tensor qk = rotate(qkv.narrow(2, 0, model.heads + model.kv_heads), table);
  // [batch, heads, sequence, head_dim]
  const Tensor q = qk.narrow(2, 0, model.heads).transpose(1, 2);
  const Tensor k = qk.narrow(2, model.heads, model.kv_heads).transpose(1, 2);
  const Tensor v = qkv.narrow(2, model.heads + model.kv_heads, model.kv_heads).transpose(1, 2);
  const Tensor mixed = at::scaled_dot_product_attention(
      q, k, v, /*attn_mask=*/{}, /*dropout_p=*/0.0, /*is_causal=*/true, /*scale=*/{},
      /*enable_gqa=*/model.kv_heads != model.heads);
  const Tensor joined = mixed.transpose(1, 2).reshape({x.size(0), model.heads * model.head_dim});
  return linear(joined, use.output, residual);
}

}  // namespace rondo
