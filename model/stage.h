// Consecutive layers of one process: forward and backward of one microbatch at a time.
#pragma once

#include <torch/torch.h>

#include <functional>
#include <optional>
#include <vector>

#include "model/embedding.h"
#include "model/layer.h"
#include "model/loss.h"
#include "model/weight_gradients.h"

namespace rondo {

/// One microbatch of token ids.
struct Microbatch {
  torch::Tensor inputs;   ///< [batch·sequence] int64; only the first stage reads them
  torch::Tensor targets;  ///< [batch·sequence] int64, the inputs shifted by one; only the last
};

/// What a teacher says of a microbatch; called in forward by the last stage.
using Teach = std::function<SoftTargets(const Microbatch&)>;

struct StageOptions {
  HalfLayers halves;
  bool first = true;  ///< begins with the embedding
  bool last = true;   ///< ends with the final norm, the head and the loss
  int64_t sequence = 0;
  bool recompute = false;  ///< keep only each layer's input and run it again in backward
  Teach teach = {};        ///< of the last stage; null: only the tokens teach
};

/// What the layers of one stage have seen of one sequence.
struct SequenceMemory {
  std::vector<KeyValueCache> layers;
  int64_t positions = 0;  ///< seen so far
};

class Stage {
 public:
  /// What forward keeps for backward.
  struct Tape {
    Microbatch batch;
    std::vector<torch::Tensor> inputs;  ///< [batch·sequence, hidden] of each layer: autograd leaves
    std::vector<torch::Tensor> outputs;  ///< their results; undefined under recompute
    torch::Tensor norm_input;            ///< leaf in front of the final norm
    torch::Tensor norm_output;
    torch::Tensor head_gradient;    ///< ∂loss / ∂norm_output
    WeightGradients::Work waiting;  ///< weight gradients, between backward_input and _weight
  };

  Stage(const ModelDefinition& model, const ComponentStore& store, const StageOptions& options);

  /// x [batch·sequence, hidden] from the stage before (ignored by the first) → the stage's output,
  /// or for the last stage HeadResult::losses. The gradients of gradient_scale · loss are what
  /// backward will hand out.
  torch::Tensor forward(const Microbatch& batch, const torch::Tensor& x, double gradient_scale,
                        Tape& tape) const;

  /// Gradient of the output (ignored by the last stage) → gradient of x (undefined from the
  /// first). Weight gradients add to the store's buffers; the tape is spent.
  torch::Tensor backward(const torch::Tensor& gradient, Tape& tape) const;

  /// The same in two halves, the second of which may wait: the gradient of x, then those of the
  /// weights of linears. The tape is spent after the second.
  torch::Tensor backward_input(const torch::Tensor& gradient, Tape& tape) const;
  static void backward_weight(Tape& tape);

  /// forward without gradients, memory of them, or a teacher.
  torch::Tensor evaluate(const Microbatch& batch, const torch::Tensor& x) const;

  /// What the head of the last stage would read, [batch·sequence, hidden]; else the stage's output.
  torch::Tensor features(const Microbatch& batch, const torch::Tensor& x) const;

  /// Goes on with one sequence: tokens [n] int64, or from the stage before x [n, hidden], behind
  /// the positions of `memory`, at most `sequence` in all → what `features` would say of them.
  torch::Tensor next_features(const torch::Tensor& tokens, const torch::Tensor& x,
                              SequenceMemory& memory) const;
  SequenceMemory empty_memory() const;

  /// Of the last stage: [vocab, hidden].
  const Parameter& head() const { return *head_; }

  const std::vector<Layer>& layers() const { return layers_; }

 private:
  torch::Tensor start(const Microbatch& batch, const torch::Tensor& x) const;
  LayerContext context() const { return {.model = model_.spec, .table = table_}; }

  ModelDefinition model_;
  StageOptions options_;
  RotaryTable table_;
  c10::intrusive_ptr<WeightGradients> gradients_;
  std::vector<Layer> layers_;
  std::optional<Embedding> embedding_;
  std::optional<Norm> final_norm_;
  std::optional<Parameter> head_;
};

}  // namespace rondo
