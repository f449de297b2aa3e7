// Executes one rank's program: what the simulator timed, action by action.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "distributed/buffer_pool.h"
#include "distributed/comm/communicator.h"
#include "distributed/phase_clock.h"
#include "distributed/plan/schedule/simulate.h"
#include "distributed/plan/step_plan.h"
#include "distributed/sharded_optimizer.h"
#include "model/stage.h"

namespace rondo {

/// The microbatches of one step, by their number.
struct MicrobatchSource {
  /// Token ids of microbatch i; called by the ranks of the first and the last chunk.
  std::function<Microbatch(int)> load;
  /// Rows of the stream, batch·sequence, in microbatch i.
  std::function<int64_t(int)> rows;
};

class Pipeline {
 public:
  /// `options` of every stage; what differs from chunk to chunk comes from the plan. `ranks` has
  /// the pipeline ranks of this replica, in order. All references must outlive this.
  Pipeline(const StepPlan& step, const ComponentStore& store, const StageOptions& options,
           Communicator& ranks, ShardedOptimizer& optimizer);

  /// What one run of a program showed on this rank.
  struct Run {
    std::map<std::string, double> losses = {};  ///< what this rank's chunks add to the named sums
    int peak_live = 0;  ///< most (chunk, microbatch) whose activations were kept at a time
    std::vector<TimedAction> timeline =
        {};  ///< seconds since the run began; empty unless asked for
    PhaseSeconds phases = {};
  };

  /// Runs this rank's part of a lowered program. A chunk that the program takes backward keeps what
  /// backward needs; gradients of gradient_scale · loss add to the store's buffers. Chunks that are
  /// only taken forward leave nothing.
  Run run(const RankProgram& program, const MicrobatchSource& source, double gradient_scale,
          bool timed = false);

  /// The stage with the head; null on the other ranks.
  const Stage* head_stage() const;

  /// Every half that this rank runs, of all its chunks.
  std::vector<Half> halves() const;

 private:
  struct Execution;

  void execute(const Action& action, Execution& execution);
  void finish(Execution& execution);
  void note_sums(Execution& execution);
  void wait_for_values(int chunk, Execution& execution);
  static Microbatch load(int microbatch, Execution& execution);
  void forward(const Action& action, Execution& execution);
  void backward(const Action& action, Execution& execution);
  void send(const Action& action, Execution& execution);
  void receive(const Action& action, Execution& execution);

  Placement placement_;
  Communicator& ranks_;
  ShardedOptimizer& optimizer_;
  BufferPool pool_;
  std::map<int, Stage> stages_;                     ///< by chunk, of this rank
  std::map<int, std::vector<int64_t>> widths_in_;   ///< likewise: of the stream that enters
  std::map<int, std::vector<int64_t>> widths_out_;  ///< likewise: of the stream that leaves
  std::map<int, std::vector<int>> groups_of_;       ///< by chunk: the groups of its components
};

}  // namespace rondo
