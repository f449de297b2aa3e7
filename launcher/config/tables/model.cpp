// What is learned: [model], [sharing], [relaxation].
#include "launcher/config/tables/row.h"
#include "launcher/config/tables/tables.h"
#include "model/definition/families.h"

namespace rondo {
namespace {

std::vector<ConfigField> model_table() {
  return table<ModelSpec>(
      "model", &Config::model,
      {
          {"family", &ModelSpec::family, one_of(model_families()), "",
           "Which parts a layer has. Mistral and SmolLM2 are llama, Pythia is gpt_neox."},
          {"hidden", &ModelSpec::hidden, count(), "elements", "Width of the residual stream."},
          {"depth", &ModelSpec::depth, count(), "layers",
           "Layers that are executed. sharing.* says how many of them are stored."},
          {"heads", &ModelSpec::heads, count(), "", "Query heads of an attention."},
          {"kv_heads", &ModelSpec::kv_heads, at_least(0), "",
           "Key and value heads, which must divide model.heads. 0: as many as model.heads."},
          {"head_dim", &ModelSpec::head_dim, at_least(0), "elements",
           "Width of a head. 0: model.hidden / model.heads."},
          {"ffn", &ModelSpec::ffn, count(), "elements", "Width inside a feed-forward."},
          {"vocab", &ModelSpec::vocab, count(), "tokens",
           "Rows of the embedding. Every token of the corpus must be below it."},
          {"positions", &ModelSpec::positions, at_least(0), "tokens",
           "Longest sequence of a family that learns its positions (gpt2). 0 where positions are "
           "rotary."},
          {"rope_theta", &ModelSpec::rope_theta, more_than_zero(), "",
           "Base of the rotary positions' wavelengths."},
          {"rotary_fraction", &ModelSpec::rotary_fraction, within(0, 1), "",
           "Share of each head that rotary positions turn."},
          {"norm_eps", &ModelSpec::norm_eps, more_than_zero(), "",
           "Added to the variance in every norm."},
          {"window", &ModelSpec::window, at_least(0), "tokens",
           "Positions that a layer with a sliding window sees, its own included. 0: all."},
          {"window_layers", &ModelSpec::window_layers, anything(), "",
           "Which layers have the window: all, from:K, or a repeated pattern of s (slides) and f "
           "(full)."},
          {"pass_norm", &ModelSpec::pass_norm, one_of({"none", "shared", "own"}), "",
           "A norm after every pass over the recurring layers, unless the final norm follows at "
           "once: with the final norm's weights (shared), or one for each pass (own)."},
          {"pass_encoding", &ModelSpec::pass_encoding, anything(), "",
           "Whether a learned vector of each pass is added where it begins."},
          {"branch_scales", &ModelSpec::branch_scales, anything(), "",
           "Whether each layer learns a factor for its branch and one for the residual stream."},
          {"tie_embeddings", &ModelSpec::tie_embeddings, anything(), "",
           "Whether the output head is the embedding."},
      });
}

std::vector<ConfigField> sharing_table() {
  return table<SharingOptions>(
      "sharing", &Config::sharing,
      {
          {"strategy", &SharingOptions::strategy, strategy(), "",
           "Which layers use the same block of weights. See the picture that a run prints first."},
          {"unique", &SharingOptions::unique, at_least(0), "blocks",
           "Blocks of weights that are stored. 0 where the strategy implies their number."},
          {"map", &SharingOptions::map, at_least(0), "blocks",
           "The block of each layer, for sharing.strategy = \"explicit\"."},
          {"prelude", &SharingOptions::prelude, at_least(0), "layers",
           "Unique layers in front of those that the strategy shares."},
          {"coda", &SharingOptions::coda, at_least(0), "layers",
           "Unique layers after those that the strategy shares."},
          {"attention", &SharingOptions::attention, strategy_or_empty(), "",
           "Another strategy for the attention alone. Empty: sharing.strategy."},
          {"feed_forward", &SharingOptions::feed_forward, strategy_or_empty(), "",
           "Another strategy for the feed-forward alone. Empty: sharing.strategy."},
          {"norms", &SharingOptions::norms, strategy_or_empty(), "",
           "Another strategy for the norms alone. Empty: sharing.strategy."},
      });
}

std::vector<ConfigField> gradient_table() {
  return table<Config>(
      "sharing", std::identity{},
      {
          {"gradient", &Config::gradient, one_of({"sum", "mean", "owner"}), "",
           "How the uses of a block add to its gradient: their sum, their mean, or the first use "
           "alone."},
      });
}

std::vector<ConfigField> relaxation_table() {
  return table<Config>(
      "relaxation", std::identity{},
      {
          {"rank", &Config::relaxation_rank, at_least(0), "",
           "Rank of the low-rank term that every layer adds to its shared weights. 0: none."},
      });
}

}  // namespace

std::vector<ConfigField> model_fields() {
  return joined({model_table(), sharing_table(), gradient_table(), relaxation_table()});
}

}  // namespace rondo
