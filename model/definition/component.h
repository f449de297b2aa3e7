// The names of weights: places in a layer that need them, and sets of weights that fill them.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace rondo {

/// A place in a layer that needs weights. A value, so that a definition can have slots beyond those
/// of the built-in branches: give them an order of their own from `first_own_order` on.
struct Slot {
  int order = 0;               ///< where the slot's components stand among all; its identity
  std::string_view name = {};  ///< of static storage; part of parameter paths

  static const Slot attention;
  static const Slot feed_forward;
  static const Slot attention_norm;
  static const Slot feed_forward_norm;

  friend constexpr bool operator==(Slot a, Slot b) { return a.order == b.order; }
  friend constexpr auto operator<=>(Slot a, Slot b) { return a.order <=> b.order; }
};

inline constexpr Slot Slot::attention{0, "attention"};
inline constexpr Slot Slot::feed_forward{1, "feed_forward"};
inline constexpr Slot Slot::attention_norm{2, "attention_norm"};
inline constexpr Slot Slot::feed_forward_norm{3, "feed_forward_norm"};

inline constexpr std::array<Slot, 4> all_slots = {Slot::attention, Slot::feed_forward,
                                                  Slot::attention_norm, Slot::feed_forward_norm};
inline constexpr int first_own_order = static_cast<int>(all_slots.size());

/// What a component is for.
enum class Kind : uint8_t {
  embedding,      ///< token rows; the head too where they are tied
  positions,      ///< learned positions
  slot,           ///< fills a slot in one or more layers: the sharing map's own kind
  adapter,        ///< the low-rank terms and vectors that one layer adds to a slot's component
  scales,         ///< factors of one layer's use of a branch
  pass_encoding,  ///< a vector added where a pass over the recurring layers begins
  pass_norm,      ///< a norm after such a pass
  final_norm,
  head,
};

/// One set of weights: what is stored, placed, reduced and saved as a whole. `id` is the sharing
/// map's for the kind slot, the layer for adapter and scales (whose `slot` is that of the branch's
/// weights), and the pass for pass_encoding and pass_norm; elsewhere both are zero.
struct Component {
  Kind kind = Kind::embedding;
  Slot slot = {};
  int id = 0;

  friend constexpr bool operator==(const Component&, const Component&) = default;
  friend constexpr auto operator<=>(const Component&, const Component&) = default;
};

/// "embedding", "attention/3", "adapters/7/attention": the beginning of its parameters' paths.
std::string to_string(const Component& component);

}  // namespace rondo
