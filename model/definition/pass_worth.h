// What a pass over the recurring layers is worth, by a published fit.
#pragma once

#include <optional>

#include "model/definition/model_definition.h"

namespace rondo {

/// Non-embedding parameters of a looped model, by how often a token goes through them.
struct LoopSize {
  double once = 0.0;       ///< used by one layer
  double recurring = 0.0;  ///< used in every pass; stored once
  double beside = 0.0;     ///< what feeds the loop at each pass, such as an injection; stored once
  int passes = 1;

  double stored() const { return once + recurring + beside; }
  /// Parameters of the unshared model that executes the same layers; without `beside`.
  double executed() const { return once + passes * recurring; }
  /// Operations of `beside`, as a share of the layers'.
  double overhead() const { return passes * beside / executed(); }
  /// Parameters of the unshared model of the same loss: once + passes^exponent · recurring
  /// (arXiv 2604.21106, iso-depth law).
  double equivalent(double exponent) const;
};

/// The exponent of that fit for gradients through all passes, and where they are cut off.
inline constexpr double pass_exponent = 0.46;
inline constexpr double pass_exponent_truncated = 0.38;

/// Nothing where the map has no passes.
std::optional<LoopSize> loop_size(const ModelDefinition& model);

/// The unshared model of so many layers.
ModelDefinition unshared(const ModelDefinition& model, int depth);

/// Keys and values of one token, in elements: those of every executed layer.
int64_t cached_elements(const ModelDefinition& model);

}  // namespace rondo
