// Which layer uses which weights. Plain data: needs no tensor library and no rank.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace rondo {

/// A place in a layer that needs weights.
enum class Slot { attention, feed_forward, attention_norm, feed_forward_norm };

inline constexpr std::array<Slot, 4> all_slots = {Slot::attention, Slot::feed_forward,
                                                  Slot::attention_norm, Slot::feed_forward_norm};

std::string_view slot_name(Slot slot);

/// The `sharing.*` keys of the config, as written by the user. `unique` = 0 asks for the number of
/// blocks that the strategy implies.
struct SharingOptions {
  std::string strategy = "none";
  int unique = 0;
  std::vector<int> map = {};  ///< only for strategy "explicit": one block per layer
  int prelude = 0;            ///< unique layers before the strategy's part
  int coda = 0;               ///< unique layers after it
  /// Per-slot overrides: "universal", "cycle:2", …; empty = as the block.
  std::string attention = {};
  std::string feed_forward = {};
  std::string norms = {};  ///< overrides both norm slots
};

/// slot → list of `depth` component ids. Ids of a slot are dense and numbered by first use, except
/// in an explicit map, which keeps the user's numbers.
struct SharingMap {
  std::array<std::vector<int>, 4> slots = {};

  int depth() const { return static_cast<int>(slots[0].size()); }
  const std::vector<int>& of(Slot slot) const { return slots[static_cast<size_t>(slot)]; }
  std::vector<int>& of(Slot slot) { return slots[static_cast<size_t>(slot)]; }
  int id(Slot slot, int layer) const { return of(slot)[static_cast<size_t>(layer)]; }
  /// Number of components that fill `slot`.
  int unique(Slot slot) const;
  bool operator==(const SharingMap&) const = default;
};

/// Block of each of `depth` layers under one strategy (DESIGN: sharing map; Takase & Kiyono,
/// arXiv 2104.06022, in the form of their released code; Mixture-of-Recursions, arXiv 2507.10524,
/// for `middle_*`). Throws UserError when the strategy does not exist for this depth and `unique`,
/// naming the values that do.
std::vector<int> assign_blocks(const std::string& strategy, int depth, int unique);

/// The whole map: strategy, prelude and coda, per-slot overrides. Throws UserError.
SharingMap make_sharing_map(const SharingOptions& options, int depth);

/// What each layer's use contributes to its component's gradient. Policies: "sum" (1), "mean"
/// (1 / number of uses), "owner" (1 for the first use, 0 for the others: Dynamic Layer Tying,
/// arXiv 2401.12819). Throws UserError for another policy.
std::vector<double> gradient_weights(const std::vector<int>& components, const std::string& policy);

/// Every strategy name that `assign_blocks` knows.
std::vector<std::string> sharing_strategies();

/// A small picture: one row per slot (one row in all when the slots agree), layers across,
/// components as letters. Deep maps are broken into strips of at most 80 columns.
std::string draw(const SharingMap& map);

}  // namespace rondo
