// Layers → chunks → pipeline ranks. Never changes the function that is learned.
#pragma once

#include <vector>

#include "model/definition/model_definition.h"

namespace rondo {

/// Consecutive half layers that one rank runs without communication.
struct Chunk {
  HalfLayers halves = {};
  int rank = 0;                 ///< of the pipeline
  bool embeds = false;          ///< begins with the embedding
  bool ends_with_head = false;  ///< ends with the final norm, the head and the loss
  bool trained = true;          ///< false: only taken forward
  bool operator==(const Chunk&) const = default;
};

/// The chunks of a pipeline, in the order in which a microbatch goes forward through them.
struct Placement {
  int pipeline = 1;                ///< ranks
  std::vector<Chunk> chunks = {};  ///< each begins where the one before it ends

  int size() const { return static_cast<int>(chunks.size()); }
  const Chunk& chunk(int k) const { return chunks[k]; }
  int rank_of(int k) const { return chunk(k).rank; }
  /// How often the route goes over the ranks; the last pass may leave some out.
  int passes() const { return (size() + pipeline - 1) / pipeline; }
  /// Whether backward carries a gradient from chunk k to the one before it.
  bool gives_gradient(int k) const { return k > 0 && chunk(k).trained && chunk(k - 1).trained; }

  /// The rank's chunks, ascending.
  std::vector<int> chunks_of(int rank) const;
  /// Where chunks begin, and where the last one ends, in half layers.
  std::vector<int> cuts() const;

  bool operator==(const Placement&) const = default;
};

/// Chunks between neighbouring cuts, chunk k on rank ranks[k]. The first embeds, the last has the
/// head.
Placement place(int pipeline, const std::vector<int>& cuts, const std::vector<int>& ranks);

/// The components that a chunk uses, each once, in no particular order.
std::vector<Component> components_of(const ModelDefinition& model, const Chunk& chunk);

}  // namespace rondo
