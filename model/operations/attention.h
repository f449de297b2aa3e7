// Causal self-attention with grouped queries and, where the family has them, rotary positions.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "model/definition/model_spec.h"
#include "model/operations/join.h"
#include "model/operations/linear.h"
#include "model/operations/norm.h"

namespace rondo {

/// Cosines and sines of the rotary embedding (RoFormer, arXiv 2104.09864) in the half-split order
/// of transformers: of the first r = rotary_size elements of each head, pair i is (i, i + r/2),
/// turned by position · theta^(−2i/r). The others stay as they are.
struct RotaryTable {
  at::Tensor cosine;  ///< [1, sequence, 1, r/2], compute type
  at::Tensor sine;    ///< likewise

  RotaryTable(const ModelSpec& model, int64_t sequence, at::TensorOptions options);

  /// Of positions [begin, begin + count) alone.
  RotaryTable positions(int64_t begin, int64_t count) const;
};

/// Which keys, of positions [0, begin + count), the queries of positions [begin, begin + count)
/// see.
struct AttentionMasks {
  /// [count, begin + count] bool: all before them. Undefined where begin is 0.
  at::Tensor whole;
  /// The same of a layer that slides: the last `window` alone. `whole` where that hides nothing.
  at::Tensor window;

  /// A window of 0 hides nothing.
  AttentionMasks(int64_t window, int64_t begin, int64_t count, at::Device device);
};

/// Queries and keys turned by position, and values: [batch, sequence, heads, head_dim] each.
struct RotaryHeads {
  at::Tensor queries;
  at::Tensor keys;
  at::Tensor values;
};

/// qkv [batch, sequence, heads + 2·kv_heads, head_dim] taken apart; nothing of it is kept for
/// backward, which turns back.
RotaryHeads turn_heads(const at::Tensor& qkv, const ModelSpec& model, const RotaryTable& table);

/// One layer's use of an attention component.
struct Attention {
  Linear qkv;   ///< q, k and v stacked: [(heads + 2·kv_heads)·head_dim, hidden]
  Join output;  ///< [hidden, heads·head_dim]
  std::optional<Norm> query_norm = {};  ///< of each head, before it is turned: gain [head_dim]
  std::optional<Norm> key_norm = {};    ///< likewise; there exactly when query_norm is
  bool slides = false;  ///< sees a window only: of the executed layer, not of its weights
};

/// What one executed layer has seen of a sequence that goes on. Layers that share weights have one
/// each: what they see differs.
struct KeyValueCache {
  int64_t capacity = 0;    ///< positions that it can hold
  int64_t filled = 0;      ///< positions that count
  at::Tensor keys = {};    ///< [1, kv_heads, capacity, head_dim], turned; made when first needed
  at::Tensor values = {};  ///< likewise
};

/// What attention reads besides its weights.
struct LayerContext {
  const ModelSpec& model;
  const RotaryTable& table;        ///< of the positions at hand
  const AttentionMasks& masks;     ///< likewise
  KeyValueCache* cache = nullptr;  ///< of this layer, for a sequence that goes on
};

/// The branch added to the stream: x, residual [batch·sequence, hidden] → [batch·sequence, hidden].
/// The batch is the number of rows divided by the table's sequence. With a cache, the batch is one
/// sequence, which also sees the positions of the cache; its own are put after them.
at::Tensor attend(const at::Tensor& x, const at::Tensor& residual, const Attention& use,
                  const LayerContext& context);

}  // namespace rondo
