// What the network is, as plain data. Needs no tensor library.
#pragma once

#include <cstdint>
#include <string>

namespace rondo {

/// The `model.*` keys. Sizes are in elements; `depth` counts executed layers.
struct ModelSpec {
  std::string family = "llama";  ///< which parts the block has: see families.h
  int64_t hidden = 0;
  int64_t depth = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t ffn = 0;
  int64_t vocab = 0;
  int64_t positions = 0;  ///< longest sequence of a family that learns its positions, else 0
  double rope_theta = 10000.0;
  double rotary_fraction = 1.0;  ///< of each head that positions turn
  double norm_eps = 1e-5;
  int64_t window = 0;                 ///< tokens that a sliding layer sees; 0: none slides
  std::string window_layers = "all";  ///< which do: see attention_window.h
  bool tie_embeddings = true;
  /// A norm after every pass over the recurring layers, unless the final norm follows at once:
  /// "none", "shared" (the final norm's weights) or "own" (one for each pass).
  std::string pass_norm = "none";
  bool pass_encoding = false;  ///< a learned vector of each pass, added where it begins
  /// Learned scalars of each layer's use of a branch: the stream becomes r·x + s·branch(x).
  bool branch_scales = false;

  bool operator==(const ModelSpec&) const = default;
};

}  // namespace rondo
