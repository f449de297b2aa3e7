// What the network is, as plain data. Needs no tensor library.
#pragma once

#include <cstdint>
#include <string>

namespace rondo {

/// The `model.*` keys. Sizes are in elements; `depth` counts executed layers.
struct ModelSpec {
  std::string family = "llama";
  int64_t hidden = 0;
  int64_t depth = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t ffn = 0;
  int64_t vocab = 0;
  double rope_theta = 10000.0;
  double norm_eps = 1e-5;
  bool tie_embeddings = true;

  bool operator==(const ModelSpec&) const = default;
};

}  // namespace rondo
