// Everything that decides which function is learned, and how its gradients add.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/definition/component.h"
#include "model/definition/model_spec.h"
#include "model/definition/sharing_map.h"

namespace rondo {

/// What a parameter tensor is: everything that treats tensors unlike reads this, never their names.
enum class Role : uint8_t {
  matrix,     ///< of a linear, [out, in]: products, low-rank terms, decay
  vector,     ///< a bias: starts at zero
  gain,       ///< a factor on a normalised row
  scalar,     ///< one number
  embedding,  ///< rows chosen by number, [count, hidden]: decay
};

/// How a tensor's values are drawn for a run from nothing: normal, or `mean` where `deviation` is
/// 0.
struct StartValue {
  double mean = 0.0;
  double deviation = 0.0;
};

/// One tensor of a component.
struct TensorSpec {
  std::string name;            ///< "q_proj/weight": below the component
  std::vector<int64_t> shape;  ///< row-major; linears are [out, in]
  Role role = Role::matrix;
  StartValue start = {};
};

/// One residual branch of a layer: a norm, and the weights after it. `name` chooses its mathematics
/// (model/half.h).
struct Branch {
  std::string name;
  Slot norm;
  Slot weights;
  std::vector<TensorSpec> tensors = {};  ///< of a component of `weights`; empty: the built-in ones
};

struct ModelDefinition {
  ModelSpec spec;
  SharingMap sharing;
  int64_t relaxation_rank = 0;   ///< 0 = strict tying
  std::string gradient = "sum";  ///< how repeated uses add: see gradient_weights
  /// The branches of every layer, in the order in which they are added to the stream.
  std::vector<Branch> branches = {{"attention", Slot::attention_norm, Slot::attention},
                                  {"feed_forward", Slot::feed_forward_norm, Slot::feed_forward}};
  /// Layers that are executed, in order, ascending; empty: all. A step that makes fewer passes
  /// executes a part of the model.
  std::vector<int> executed = {};

  int depth() const {
    return executed.empty() ? sharing.depth() : static_cast<int>(executed.size());
  }
  /// The layer that is executed as number `position`.
  int layer(int position) const { return executed.empty() ? position : executed[position]; }
};

/// Throws UserError where `model.pass_norm` is none of its values.
void check_pass_norm(const ModelSpec& spec);

/// Throws UserError where the definition asks for what its sharing map does not have: norms or
/// encodings of passes without layers that recur.
void check_passes(const ModelDefinition& model);

/// A model whose layers share nothing.
ModelDefinition untied(const ModelSpec& spec);

/// One residual branch of one executed layer: the smallest piece that a pipeline may cut off.
struct HalfLayer {
  int layer = 0;   ///< of the sharing map
  int branch = 0;  ///< index into ModelDefinition::branches
  bool operator==(const HalfLayer&) const = default;
};

/// Consecutive ones, [begin, end).
struct HalfLayers {
  int begin = 0;
  int end = 0;
  bool operator==(const HalfLayers&) const = default;
};

/// How many there are; a pipeline's cuts count them.
int half_layers(const ModelDefinition& model);

/// Number `half` of them, in execution order.
HalfLayer half_layer(const ModelDefinition& model, int half);

/// Widths of what enters half number `half`, and leaves the one before it: the residual stream,
/// then what halves carry beside it. In elements of a row.
std::vector<int64_t> stream_widths(const ModelDefinition& model, int half);

/// The vector that is added to the stream before half number `half`: where a pass over the
/// recurring layers begins (`pass_encoding`).
std::optional<Component> encoding_before(const ModelDefinition& model, int half);

/// The norm of the stream after half number `half`: where a pass ends, and the final norm does not
/// follow at once (`pass_norm`).
std::optional<Component> norm_after(const ModelDefinition& model, int half);

/// What half number `half` reads, each component once.
std::vector<Component> components_of(const ModelDefinition& model, int half);

/// What stands before the first half, and after the last.
std::vector<Component> entrance_components(const ModelDefinition& model);
std::vector<Component> exit_components(const ModelDefinition& model);

/// Every component of the whole model in the one total order that all ranks agree on: embedding,
/// learned positions, each slot's components by id, adapters and scales by layer, encodings and
/// norms by pass, final norm, head.
std::vector<Component> components(const ModelDefinition& model);

}  // namespace rondo
