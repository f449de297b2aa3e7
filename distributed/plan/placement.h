// Layers → chunks → pipeline ranks, and which components each rank must therefore hold. Never
// changes the function that is learned.
#pragma once

#include <string>
#include <vector>

#include "model/definition/model_spec.h"
#include "model/definition/sharing_map.h"

namespace rondo {

/// Consecutive half layers [begin, end) that one rank runs without communication. Half layer 2ℓ is
/// the attention of layer ℓ with its norm, 2ℓ+1 its feed-forward with its norm.
struct Chunk {
  int begin = 0;
  int end = 0;
  bool embeds = false;  ///< begins with the embedding
  bool heads = false;   ///< ends with the final norm, the head and the loss
  bool operator==(const Chunk&) const = default;
};

/// What of a model decides where weights are needed.
struct ModelParts {
  SharingMap map = {};
  bool tied_embeddings = false;    ///< the head uses the component `embedding`
  bool adapters = false;           ///< every layer ℓ has `adapters/<ℓ>/<slot>`
  bool learned_positions = false;  ///< there is a component `positions`, beside the embedding
  bool whole_layers = false;       ///< a parallel residual: no cut between the halves of a layer
  std::vector<int> layers = {};    ///< of the map, that are executed; empty: all
  /// What the halves of a layer read besides their slots: see ModelSpec.
  std::string pass_norm = "none";
  bool pass_encoding = false;
  bool branch_scales = false;
};

ModelParts parts_of(const ModelSpec& model, const SharingMap& map, int64_t relaxation_rank);

/// Chunk k = v·P + j runs on rank j where pass v of the route is '+', else on rank P−1−j.
struct Placement {
  int pipeline = 1;            ///< P
  std::string route = "+";     ///< one sign per pass
  std::vector<int> cuts = {};  ///< chunk k is [cuts[k], cuts[k+1]), in half layers
  std::vector<int> ranks =
      {};                ///< of each chunk, where a step leaves out some (depth.h); else empty
  int trained_from = 0;  ///< chunks before this one are only taken forward

  int passes() const { return static_cast<int>(route.size()); }
  int chunks() const {
    return ranks.empty() ? pipeline * passes() : static_cast<int>(ranks.size());
  }
  int rank_of(int chunk) const;
  Chunk chunk(int k) const {
    return {cuts[static_cast<size_t>(k)], cuts[static_cast<size_t>(k) + 1], k == 0,
            k + 1 == chunks()};
  }
  /// The rank's chunks, ascending: one per pass.
  std::vector<int> chunks_of(int rank) const;
  bool operator==(const Placement&) const = default;
};

/// The `distributed.*` keys that place layers.
struct PlacementOptions {
  int pipeline = 1;
  /// contiguous (one pass) · loop (all +) · vee (alternating, + first) · mixed (+, and − for the
  /// passes that the reversed tail of `cycle_rev` covers) · or the signs themselves, "++-".
  std::string route = "contiguous";
  int passes = 0;            ///< 0: as few as give the fewest copies; signs and contiguous imply it
  bool half_layers = false;  ///< may cut between attention and feed-forward
  std::vector<int> cuts = {};     ///< half layers; empty: by `weights` (see `share_cuts`)
  std::vector<int> weights = {};  ///< what share of each pass each rank gets; empty: equal ones
};

struct Uses;

/// Throws UserError with the reason and the nearest placement that can be.
Placement make_placement(const PlacementOptions& options, const ModelParts& model);
Placement make_placement(const PlacementOptions& options, const Uses& uses);

/// The route's signs; `passes` as in PlacementOptions, but not 0 for loop, vee and mixed.
std::string route_signs(const std::string& route, int passes, int pipeline, const Uses& uses);

/// Cut points that give each pass an equal share of the half layers [begin, end), in steps of
/// `unit` (2: whole layers), and of a pass each rank a share by its weight. A rank's share is the
/// same on passes of either direction, so that uneven shares return to the same rank. The first and
/// the last chunk also take what lies before and after.
std::vector<int> share_cuts(const Placement& placement, Chunk middle, int depth, int unit,
                            const std::vector<int>& weights);

/// A component and the pipeline ranks that hold it, ascending.
struct ComponentRanks {
  std::string component;
  std::vector<int> pipeline_ranks;
  bool operator==(const ComponentRanks&) const = default;
};

/// The components that a chunk uses, each once, in no particular order.
std::vector<std::string> components_of(const ModelParts& model, Chunk chunk);

/// Every component of the model in the order of `parameter_list`.
std::vector<std::string> all_components(const ModelParts& model);

/// Who holds what, in that order.
std::vector<ComponentRanks> component_ranks(const ModelParts& model, const Placement& placement);

/// The components that more than one pipeline rank holds.
std::vector<std::string> copies(const ModelParts& model, const Placement& placement);

}  // namespace rondo
