#include "model/operations/attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <torch/csrc/autograd/custom_function.h>

#include <tuple>
#include <utility>

#include "model/operations/autograd_state.h"

namespace rondo {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// y = x turned by position; `direction` = −1 turns back. Both [batch, sequence, heads, head_dim].
void turn_into(const Tensor& y, const Tensor& x, const Tensor& cosine, const Tensor& sine,
               double direction) {
  const int64_t half = cosine.size(3);
  const int64_t rest = x.size(3) - 2 * half;
  const Tensor first = x.narrow(3, 0, half);
  const Tensor second = x.narrow(3, half, half);
  Tensor y_first = y.narrow(3, 0, half);
  Tensor y_second = y.narrow(3, half, half);
  at::mul_out(y_first, first, cosine).addcmul_(second, sine, -direction);
  at::mul_out(y_second, second, cosine).addcmul_(first, sine, direction);
  if (rest > 0) y.narrow(3, 2 * half, rest).copy_(x.narrow(3, 2 * half, rest));
}

struct TurnHeadsFunction : torch::autograd::Function<TurnHeadsFunction> {
  static variable_list forward(AutogradContext* context, const Tensor& qkv, int64_t heads,
                               const RotaryTable& table) {
    keep(context, table);
    const int64_t kv_heads = (qkv.size(2) - heads) / 2;
    const Tensor queries = qkv.narrow(2, 0, heads);
    const Tensor keys = qkv.narrow(2, heads, kv_heads);
    const Tensor turned_queries = at::empty(queries.sizes(), qkv.options());
    const Tensor turned_keys = at::empty(keys.sizes(), qkv.options());
    turn_into(turned_queries, queries, table.cosine, table.sine, 1.0);
    turn_into(turned_keys, keys, table.cosine, table.sine, 1.0);
    return {turned_queries, turned_keys, qkv.narrow(2, heads + kv_heads, kv_heads).clone()};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const Tensor& queries = gradients[0];
    const Tensor& keys = gradients[1];
    const auto& [cosine, sine] = kept<RotaryTable>(context);
    const int64_t heads = queries.size(2);
    const int64_t kv_heads = keys.size(2);
    const Tensor qkv =
        at::empty({queries.size(0), queries.size(1), heads + 2 * kv_heads, queries.size(3)},
                  queries.options());
    turn_into(qkv.narrow(2, 0, heads), queries, cosine, sine, -1.0);
    turn_into(qkv.narrow(2, heads, kv_heads), keys, cosine, sine, -1.0);
    qkv.narrow(2, heads + kv_heads, kv_heads).copy_(gradients[2]);
    return {qkv, Tensor(), Tensor()};
  }
};

/// qkv [batch, sequence, heads + 2·kv_heads, head_dim] with each head of q and k normalised.
Tensor normalise_heads(const Tensor& qkv, const Attention& use, const ModelSpec& model) {
  const auto part = [&](int64_t begin, int64_t heads, const Norm& norm) {
    const Tensor taken = qkv.narrow(2, begin, heads);
    return normalise(taken.reshape({-1, model.head_dim}), norm).view(taken.sizes());
  };
  return at::cat(
      {part(0, model.heads, *use.query_norm), part(model.heads, model.kv_heads, *use.key_norm),
       qkv.narrow(2, model.heads + model.kv_heads, model.kv_heads)},
      2);
}

/// Keys and values of all positions so far, those of `keys` and `values` put behind.
std::pair<Tensor, Tensor> append(KeyValueCache& cache, const Tensor& keys, const Tensor& values) {
  const int64_t count = keys.size(2);
  if (!cache.keys.defined()) {
    const auto shape = {keys.size(0), keys.size(1), cache.capacity, keys.size(3)};
    cache.keys = at::empty(shape, keys.options());
    cache.values = at::empty(shape, keys.options());
  }
  cache.keys.narrow(2, cache.filled, count).copy_(keys);
  cache.values.narrow(2, cache.filled, count).copy_(values);
  cache.filled += count;
  return {cache.keys.narrow(2, 0, cache.filled), cache.values.narrow(2, 0, cache.filled)};
}

/// Queries [batch, heads, own, head_dim] see those keys of [batch, kv_heads, positions, head_dim]
/// that `mask` [own, positions] names; undefined: causal, of as many positions.
Tensor mix(const Tensor& queries, const Tensor& keys, const Tensor& values, const Tensor& mask) {
  const bool causal = !mask.defined();
  return at::scaled_dot_product_attention(
      queries, keys, values, causal ? std::nullopt : std::optional(mask), /*dropout_p=*/0.0,
      /*is_causal=*/causal, /*scale=*/{}, /*enable_gqa=*/keys.size(1) != queries.size(1));
}

}  // namespace

RotaryTable::RotaryTable(const ModelSpec& model, int64_t sequence, at::TensorOptions options) {
  const auto wide = at::dtype(at::kDouble);
  const int64_t turned = rotary_size(model);
  const Tensor pair = at::arange(0, turned, 2, wide);  // [turned/2]
  const Tensor frequency = at::pow(model.rope_theta, -pair / static_cast<double>(turned));
  const Tensor angle = at::outer(at::arange(sequence, wide), frequency);
  const auto shaped = [&](const Tensor& t) {
    return t.view({1, sequence, 1, turned / 2}).to(options);
  };
  cosine = shaped(angle.cos());
  sine = shaped(angle.sin());
}

RotaryTable RotaryTable::positions(int64_t begin, int64_t count) const {
  RotaryTable part = *this;
  part.cosine = cosine.narrow(1, begin, count);
  part.sine = sine.narrow(1, begin, count);
  return part;
}

AttentionMasks::AttentionMasks(int64_t window, int64_t begin, int64_t count, at::Device device) {
  const int64_t end = begin + count;
  const bool hides = window > 0 && window < end;
  if (begin == 0 && !hides) return;
  const Tensor causal = at::ones({count, end}, at::dtype(at::kBool).device(device)).tril(begin);
  if (begin > 0) whole = causal;
  this->window = hides ? causal.triu(begin - window + 1) : whole;
}

RotaryHeads turn_heads(const Tensor& qkv, const ModelSpec& model, const RotaryTable& table) {
  const variable_list parts = TurnHeadsFunction::apply(qkv, model.heads, table);
  return {parts[0], parts[1], parts[2]};
}

Tensor attend(const Tensor& x, const Tensor& residual, const Attention& use,
              const LayerContext& context) {
  const auto& [model, table, masks, cache] = context;
  const int64_t sequence = table.cosine.size(1);
  const int64_t groups = model.heads + 2 * model.kv_heads;
  Tensor qkv = linear(x, use.qkv).view({-1, sequence, groups, model.head_dim});
  if (use.query_norm) qkv = normalise_heads(qkv, use, model);
  const RotaryHeads turned = turn_heads(qkv, model, table);
  const auto heads_first = [](const Tensor& t) { return t.transpose(1, 2); };
  Tensor keys = heads_first(turned.keys);  // [batch, kv_heads, sequence, head_dim]
  Tensor values = heads_first(turned.values);
  if (cache != nullptr) std::tie(keys, values) = append(*cache, keys, values);
  const Tensor mixed =
      mix(heads_first(turned.queries), keys, values, use.slides ? masks.window : masks.whole);
  const Tensor joined = heads_first(mixed).reshape({x.size(0), model.heads * model.head_dim});
  return use.output(joined, residual);
}

}  // namespace rondo
