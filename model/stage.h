// Consecutive halves of one process: forward and backward of one microbatch at a time.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <optional>
#include <vector>

#include "model/half.h"
#include "model/operations/deferred_gradients.h"
#include "model/operations/embedding.h"
#include "model/operations/loss.h"
#include "model/stream.h"

namespace rondo {

/// One microbatch of token ids.
struct Microbatch {
  at::Tensor inputs;   ///< [batch·sequence] int64; only the stage with the embedding reads them
  at::Tensor targets;  ///< [batch·sequence] int64, the inputs shifted by one; only the head
};

/// What a teacher says of a microbatch; called in forward by the stage with the head.
using Teach = std::function<SoftTargets(const Microbatch&)>;

struct StageOptions {
  HalfLayers halves = {};
  bool embeds = true;          ///< begins with the embedding
  bool ends_with_head = true;  ///< ends with the final norm, the head and the loss
  int64_t sequence = 0;
  bool recompute = false;  ///< keep only each layer's input and run it again in backward
  Teach teach = {};        ///< of a stage with the head; null: only the tokens teach
  HalfBuilders builders = built_in_halves();
};

/// What the halves of a stage have seen of one sequence.
struct SequenceMemory {
  std::vector<KeyValueCache> halves;
  int64_t positions = 0;  ///< seen so far
};

/// What a stage makes of one microbatch.
struct StageResult {
  Stream stream = {};    ///< what leaves the stage; of one with the head, nothing
  LossSums losses = {};  ///< what its head and its halves add to the named sums
};

class Stage {
 public:
  /// What forward keeps of the halves of one layer: one graph of autograd.
  struct Segment {
    Stream input = {};                    ///< leaves
    Stream output = {};                   ///< undefined under recompute
    std::vector<at::Tensor> losses = {};  ///< the halves' own terms; likewise
  };

  /// What forward keeps for backward.
  struct Tape {
    Microbatch batch;
    double gradient_scale = 0.0;
    std::vector<Segment> segments;
    at::Tensor norm_input;  ///< leaf before the final norm
    at::Tensor norm_output;
    at::Tensor head_gradient;         ///< ∂loss / ∂norm_output
    DeferredGradients::Work waiting;  ///< weight gradients, between backward_input and _weight
  };

  Stage(const ModelDefinition& model, const ComponentStore& store, const StageOptions& options);

  /// `stream` is what the stage before made (ignored with the embedding). The gradients of
  /// gradient_scale · (the sum of all losses) are what backward hands out.
  StageResult forward(const Microbatch& batch, const Stream& stream, double gradient_scale,
                      Tape& tape) const;

  /// Gradient of what left the stage (ignored with the head) → gradient of what entered it
  /// (nothing with the embedding). Weight gradients add to the store's buffers; the tape is spent.
  Stream backward(const Stream& gradient, Tape& tape) const;

  /// The same in two halves, the second of which may wait: the gradient of the stream, then those
  /// of the weights of linears. The tape is spent after the second.
  Stream backward_input(const Stream& gradient, Tape& tape) const;
  static void backward_weight(Tape& tape);

  /// forward without gradients, memory of them, or a teacher.
  StageResult evaluate(const Microbatch& batch, const Stream& stream) const;

  /// Sum over the tokens of the loss that final norm and head make of `x`, [tokens, hidden],
  /// against `targets`, [tokens] int64. Of a stage with the head.
  double loss_of(const at::Tensor& x, const at::Tensor& targets) const;

  /// What the head would read, [batch·sequence, hidden], of a stage that holds the whole model.
  at::Tensor features(const Microbatch& batch) const;

  /// Goes on with one sequence: tokens [n] int64 after the positions of `memory`, at most
  /// `sequence` in all → what `features` would say of them, [n, hidden].
  at::Tensor next_features(const at::Tensor& tokens, SequenceMemory& memory) const;
  SequenceMemory empty_memory() const;

  /// Of a stage with the head: [vocab, hidden].
  const Parameter& head() const { return *head_; }

  /// Whether forward reads the microbatch.
  bool reads_batch() const { return options_.embeds || options_.ends_with_head; }

  const std::vector<Half>& halves() const { return halves_; }

 private:
  /// Halves of one layer: [begin, end) of halves_.
  struct Run {
    size_t begin;
    size_t end;
  };

  Stream start(const Microbatch& batch, const Stream& stream) const;
  Stream run(Run part, const Stream& stream, LossTerms& losses) const;
  Stream run_without_gradients(const Stream& stream, LossTerms& losses) const;
  Stream pull_back(Segment segment, Run part, const Stream& gradient, double gradient_scale) const;

  ModelDefinition model_;
  StageOptions options_;
  RotaryTable table_;
  AttentionMasks masks_;
  c10::intrusive_ptr<DeferredGradients> gradients_;
  std::vector<Half> halves_;
  std::vector<Run> layers_;
  std::optional<Embedding> embedding_;
  std::optional<Norm> final_norm_;
  std::optional<Parameter> head_;
};

}  // namespace rondo
