// Which layer uses which weights. Plain data: needs no tensor library and no rank.
#pragma once

#include <string>
#include <vector>

#include "model/definition/component.h"

namespace rondo {

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
class SharingMap {
 public:
  /// The slots of the built-in branches, without layers.
  SharingMap();

  /// In the order of their components.
  const std::vector<Slot>& slots() const { return slots_; }

  /// Adds a slot after the others, with one component id a layer.
  void add(Slot slot, std::vector<int> ids);

  int depth() const { return static_cast<int>(ids_.front().size()); }
  const std::vector<int>& of(Slot slot) const { return ids_[row(slot)]; }
  std::vector<int>& of(Slot slot) { return ids_[row(slot)]; }
  int id(Slot slot, int layer) const { return of(slot)[layer]; }
  /// Number of components that fill `slot`.
  int unique(Slot slot) const;
  /// The ids of the components that fill `slot`, ascending.
  std::vector<int> ids(Slot slot) const;
  /// Whether all slots have the same list.
  bool alike() const;

  friend bool operator==(const SharingMap&, const SharingMap&) = default;

 private:
  size_t row(Slot slot) const;

  std::vector<Slot> slots_;
  std::vector<std::vector<int>> ids_;  ///< of each slot
};

/// Block of each of `depth` layers under one strategy (Takase & Kiyono,
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
