// The branches of every family, as choices of one block's parts.
#include "model/definition/attention_window.h"
#include "model/definition/families.h"
#include "model/half.h"
#include "model/operations/feed_forward.h"

namespace rondo {
namespace {

HalfFunction attention_half(HalfWeights& weights) {
  const BlockParts& parts = block_parts(weights.spec());
  const Norm norm = weights.norm();
  Attention use{.qkv = weights.linear({"q_proj", "k_proj", "v_proj"}, parts.qkv_bias),
                .output = weights.join("o_proj", parts.output_bias),
                .slides = window_of(weights.spec(), weights.layer()) > 0};
  if (parts.query_key_norm) {
    use.query_norm = weights.inner_norm("q_norm");
    use.key_norm = weights.inner_norm("k_norm");
  }
  return [norm, use, parallel = parts.parallel_residual](const Stream& stream,
                                                         const HalfContext& context) -> Stream {
    const at::Tensor& x = stream.x;
    Stream after{.x = attend(normalise(x, norm), x, use, context.attention)};
    if (parallel) after.carried = {x};  // the feed-forward reads it too
    return after;
  };
}

HalfFunction feed_forward_half(HalfWeights& weights) {
  const BlockParts& parts = block_parts(weights.spec());
  const Norm norm = weights.norm();
  std::vector<std::string> up = {"up_proj"};
  if (parts.gated) up.insert(up.begin(), "gate_proj");
  const FeedForward use{.up = weights.linear(up, parts.feed_forward_bias),
                        .down = weights.join("down_proj", parts.feed_forward_bias),
                        .activation = parts.activation,
                        .gated = parts.gated};
  return [norm, use, parallel = parts.parallel_residual](const Stream& stream,
                                                         const HalfContext&) -> Stream {
    const at::Tensor& read = parallel ? stream.carried.front() : stream.x;
    return {.x = feed_forward(normalise(read, norm), stream.x, use)};
  };
}

}  // namespace

HalfBuilders built_in_halves() {
  return {{"attention", attention_half}, {"feed_forward", feed_forward_half}};
}

}  // namespace rondo
