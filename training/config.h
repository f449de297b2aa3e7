// What a run is told, as typed values. Nothing looks up a string after this.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/definition/model_spec.h"
#include "model/definition/sharing_map.h"
#include "model/optimizer/adamw_options.h"
#include "training/rate_schedule.h"

namespace rondo {

/// Whether `distributed.schedule` names a file, not a kind.
inline bool is_schedule_file(const std::string& schedule) { return schedule.ends_with(".csv"); }

struct BlendEntry {
  std::string path;  ///< prefix of a .bin/.idx pair
  double weight = 1.0;
};

struct DataConfig {
  std::string path;                           ///< prefix of .bin/.idx; empty when `blend` is given
  std::vector<BlendEntry> blend;              ///< data.blend = ["PREFIX", 0.7, "OTHER", 0.3]
  std::vector<std::string> validation_paths;  ///< prefixes of held-out tokens, each measured apart
  double validation = 0.0;  ///< fraction at the end of the samples that is held out instead
  int64_t sequence = 256;
  bool shuffle = true;
};

struct TrainConfig {
  int64_t steps = 100;
  int64_t global_batch = 8;  ///< sequences per step over all replicas
  int64_t micro_batch = 8;   ///< sequences per forward; 0: the planner chooses
  uint64_t seed = 0;
  std::string precision = "float32";  ///< float32, float64, bfloat16
  std::string recompute = "none";     ///< none, layer
  std::string passes;           ///< a step's passes over the recurring layers: see PassSchedule
  int64_t backprop_passes = 0;  ///< gradients go back through the last so many; 0: through all
  std::string init;             ///< checkpoint to start from; its model and map then stand
  std::string distill;          ///< checkpoint whose model teaches; empty: only the tokens do
  double distill_temperature = 1.0;
  double distill_weight = 0.5;   ///< of the teacher in the loss; the tokens have the rest
  int64_t eval_every = 0;        ///< steps between evaluations; 0 = only at the end
  int64_t eval_batches = 16;     ///< global batches per evaluation
  int64_t threads = 1;           ///< compute threads per rank
  int64_t batch_ramp_from = 0;   ///< sequences of the first step, which grow to global_batch …
  int64_t batch_ramp_steps = 0;  ///< … over so many steps; both 0: no ramp
};

/// How a run goes on after trouble, and when it ends early.
struct ControlConfig {
  int64_t exit_after_s = 0;           ///< stop, saved, before the run has taken longer; 0: never
  int64_t exit_at_step = 0;           ///< stop, saved, after this step; 0: never
  std::string on_nonfinite = "stop";  ///< stop, skip: a step whose loss or gradient is not finite
  int64_t nonfinite_limit = 10;       ///< skipped steps in a row that end the run
  std::string on_spike = "ignore";    ///< ignore, rewind: a loss that leaves its way
  double spike_sigmas = 6.0;  ///< standard deviations of the losses before that make a spike
  int64_t max_rewinds = 3;    ///< of a run
};

struct OptimizerConfig {
  RateSchedule rate;
  AdamWOptions adamw;
  double clip = 1.0;        ///< global gradient norm; 0 = off
  int64_t decay_steps = 0;  ///< where the rate's decay ends; 0: at train.steps
};

/// What is open is left to the planner.
struct DistributedConfig {
  int64_t pipeline = 1;             ///< ranks of one pipeline; 0 = open ("auto")
  std::string neighbours = "auto";  ///< auto, stages, replicas: whose ranks come in a row
  std::string route = "auto";       ///< auto, contiguous, loop, vee, mixed or one sign per pass
  int64_t passes = 0;               ///< over the pipeline's ranks; 0 = open ("auto")
  std::vector<int> cuts;          ///< chunk k is [cuts[k], cuts[k+1]), in half layers; empty = open
  std::string schedule = "auto";  ///< auto, 1f1b, interleaved, zero_bubble, gpipe, or FILE.csv
  int zero = 0;
  std::string backend = "mpi";  ///< mpi, nccl
  bool deterministic = true;    ///< nccl: sums in one order, at the price of some speed
  double deadline_s = 600;      ///< of every collective
};

struct CheckpointConfig {
  std::string dir;                ///< empty = <log.dir>/checkpoints
  int64_t every = 0;              ///< steps; 0 = only at the end
  int64_t keep = 3;               ///< newest files kept …
  int64_t keep_every = 0;         ///< … and those of every so many steps; 0 = none
  bool keep_best = false;         ///< the file of the lowest held-out loss stays as best.h5
  std::string resume = "auto";    ///< auto, never, or a file
  bool async = true;              ///< training goes on while a copy is written
  std::string on_error = "stop";  ///< stop, continue: when a save failed that is not the last
  bool verify = true;             ///< compare checksums before a file is loaded
};

struct LogConfig {
  std::string dir = "runs/default";  ///< run folder
  int64_t every = 10;                ///< steps between progress lines
  bool tensorboard = true;
  int64_t pass_every = 100;     ///< steps between looks at the passes; 0: never
  int64_t pass_loss_every = 0;  ///< the same with the loss after each pass
  int64_t trace_step = 0;       ///< step whose timeline is kept, measured and simulated; 0: none
};

/// What one rank's device and its links can do. The defaults are one core of a desktop.
struct ClusterConfig {
  bool measured = false;          ///< rondo train times the machine before it plans
  int64_t gpus_per_node = 1;      ///< ranks that share a node, with or without GPUs
  double device_tflops = 0.1;     ///< peak of one rank's device, for MFU and the planner
  double efficiency = 0.5;        ///< share of the peak that matrix products reach
  double memory_gbs = 10.0;       ///< 1e9 bytes/s, of one rank's memory
  double device_memory_gb = 0.0;  ///< 1e9 bytes that a plan may take; 0 = not bounded
  double intra_gbs = 5.0;         ///< 1e9 bytes/s, one direction, between ranks of a node
  double intra_us = 1.0;          ///< latency of a message there
  double inter_gbs = 1.25;        ///< the same between nodes
  double inter_us = 30.0;
  double node_gbs = 0.0;  ///< 1e9 bytes/s that a node sends to others; 0 = no bound of its own
  /// Measured, where the size of a microbatch is open: by size, how much longer it takes than the
  /// figures above say.
  std::map<int64_t, double> slowness = {};
};

struct Config {
  ModelSpec model;
  SharingOptions sharing;
  std::string gradient = "sum";  ///< sharing.gradient: sum, mean, owner
  int64_t relaxation_rank = 0;
  DataConfig data;
  TrainConfig train;
  ControlConfig control;
  OptimizerConfig optimizer;
  DistributedConfig distributed;
  CheckpointConfig checkpoint;
  LogConfig log;
  ClusterConfig cluster;
};

/// The step at which the decay of the rate ends.
inline int64_t decay_end(const Config& config) {
  return config.optimizer.decay_steps > 0 ? config.optimizer.decay_steps : config.train.steps;
}

}  // namespace rondo
