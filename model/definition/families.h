// The decoder-only families as choices of one block's parts, with the names that transformers has
// for them. Plain data, like the specification.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/definition/foreign_names.h"
#include "model/definition/model_spec.h"

namespace rondo {

enum class NormKind : uint8_t {
  root_mean_square,  ///< Zhang & Sennrich, arXiv 1910.07467; no bias
  layer,             ///< Ba et al., arXiv 1607.06450; with bias
};

enum class Activation : uint8_t { silu, gelu, gelu_tanh };

/// What a family fixes. Everything else is a size in ModelSpec.
struct BlockParts {
  NormKind norm = NormKind::root_mean_square;
  double gain_offset = 0.0;  ///< RMS norms multiply by offset + gain: Gemma stores gain − 1
  Activation activation = Activation::silu;
  bool gated = true;               ///< activation(gate)·up (arXiv 2002.05202), else activation(up)
  bool qkv_bias = false;           ///< of q_proj, k_proj, v_proj
  bool output_bias = false;        ///< of o_proj
  bool feed_forward_bias = false;  ///< of every linear of the feed-forward
  bool query_key_norm = false;     ///< each head of q and k is normalised before it is turned
  bool rotary = true;              ///< positions turn q and k, else they are learned and added
  bool parallel_residual = false;  ///< attention and feed-forward both read the layer's input
  bool scaled_embedding = false;   ///< times √hidden
};

/// Whether a norm's gain and bias can move into the linears after it: a bias needs one there.
bool norms_fold(const BlockParts& parts);

/// All of a family. A new one is a row of the table in families.cpp.
struct Family {
  std::string name;  ///< `model.family`
  BlockParts parts = {};
  TensorNames tensors;
  std::vector<ForeignModel> foreign;  ///< an export is the first that can represent it
};

const std::vector<Family>& families();

/// Throws UserError for a family that is not one of them.
const Family& family_of(const ModelSpec& model);

/// "gemma", "gpt2", "gpt_neox", "llama", "qwen2", "qwen3". Mistral and SmolLM2 are llama.
std::vector<std::string> model_families();

/// family_of(model).parts
const BlockParts& block_parts(const ModelSpec& model);

/// How many elements of each head positions turn: even, and 0 where positions are learned.
int64_t rotary_size(const ModelSpec& model);

}  // namespace rondo
