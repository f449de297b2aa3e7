// Where and how a run goes: [distributed], [checkpoint], [log], [cluster].
#include "launcher/config/tables/row.h"
#include "launcher/config/tables/tables.h"

namespace rondo {
namespace {

std::vector<ConfigField> distributed_table() {
  return table<DistributedConfig>(
      "distributed", &Config::distributed,
      {
          {"pipeline", open(&DistributedConfig::pipeline), at_least(0), "ranks",
           "Ranks of one pipeline, which must divide the ranks of the run. The others are data "
           "replicas. auto: the planner chooses."},
          {"route", &DistributedConfig::route, route(), "",
           "In which direction each pass goes over the pipeline's ranks. auto: the planner "
           "chooses."},
          {"neighbours", &DistributedConfig::neighbours, one_of({"auto", "stages", "replicas"}), "",
           "Whose ranks come in a row, and so share a node: the stages of a pipeline or the "
           "replicas "
           "of a stage. auto: the planner chooses."},
          {"passes", open(&DistributedConfig::passes), at_least(0), "passes",
           "Passes of a microbatch over the pipeline's ranks. auto: the planner chooses."},
          {"cuts", &DistributedConfig::cuts, at_least(0), "half layers",
           "Where chunks begin and the last one ends. Empty: equal shares, or the planner's."},
          {"schedule", path(&DistributedConfig::schedule), schedule(), "",
           "In which order a rank runs its chunks and microbatches. FILE.csv: the order that "
           "rondo plan --csv or PyTorch writes."},
          {"zero", &DistributedConfig::zero, one_of({"0", "1"}), "",
           "1 shards the optimizer state over the ranks that hold the same weights."},
          {"backend", &DistributedConfig::backend, one_of({"mpi", "nccl"}), "",
           "What moves tensors: mpi between processors, nccl between GPUs."},
          {"deterministic", &DistributedConfig::deterministic, anything(), "",
           "nccl: sums in one order, at the price of some speed."},
          {"deadline_s", &DistributedConfig::deadline_s, more_than_zero(), "seconds",
           "How long a rank waits for another before it ends the run."},
      });
}

std::vector<ConfigField> checkpoint_table() {
  return table<CheckpointConfig>(
      "checkpoint", &Config::checkpoint,
      {
          {"dir", path(&CheckpointConfig::dir), anything(), "",
           "Folder of the checkpoints. Empty: checkpoints/ in log.dir."},
          {"every", &CheckpointConfig::every, at_least(0), "steps",
           "Steps between checkpoints. 0: only at the end."},
          {"keep", &CheckpointConfig::keep, at_least(1), "files",
           "How many of the newest checkpoints stay."},
          {"keep_every", &CheckpointConfig::keep_every, at_least(0), "steps",
           "Checkpoints of every so many steps stay, too. 0: none."},
          {"keep_best", &CheckpointConfig::keep_best, anything(), "",
           "Save after an evaluation with the lowest loss so far, and keep that file as best.h5."},
          {"resume", path(&CheckpointConfig::resume), anything(), "",
           "auto: go on from the newest checkpoint, if there is one; never; or the checkpoint to "
           "go on from."},
          {"async", &CheckpointConfig::async, anything(), "",
           "Train on while a copy is written. false saves the copy's memory."},
          {"on_error", &CheckpointConfig::on_error, one_of({"stop", "continue"}), "",
           "What follows a save that failed. The last save of a run must succeed."},
          {"verify", &CheckpointConfig::verify, anything(), "",
           "Compare checksums before a checkpoint is loaded."},
      });
}

std::vector<ConfigField> log_table() {
  return table<LogConfig>(
      "log", &Config::log,
      {
          {"dir", path(&LogConfig::dir), not_empty(), "",
           "Folder of the run: config.toml, metrics.jsonl, tensorboard/ and checkpoints/."},
          {"every", &LogConfig::every, at_least(1), "steps", "Steps between progress lines."},
          {"tensorboard", &LogConfig::tensorboard, anything(), "",
           "Write TensorBoard events beside metrics.jsonl."},
          {"pass_every", &LogConfig::pass_every, at_least(0), "steps",
           "Steps between looks at the recurring layers: how much of the stream each pass adds, "
           "and in "
           "which direction. 0: never."},
          {"pass_loss_every", &LogConfig::pass_loss_every, at_least(0), "steps",
           "Steps between looks at the loss that the head would give after each pass. 0: never."},
          {"trace_step", &LogConfig::trace_step, at_least(0), "",
           "Step whose timeline is kept, measured and simulated. 0: none."},
      });
}

std::vector<ConfigField> cluster_table() {
  return table<ClusterConfig>(
      "cluster", &Config::cluster,
      {
          {"measured", &ClusterConfig::measured, anything(), "",
           "Time the machine before the plan is made (rondo train)."},
          {"gpus_per_node", &ClusterConfig::gpus_per_node, at_least(1), "ranks",
           "Ranks that share a node, with or without GPUs."},
          {"device_tflops", &ClusterConfig::device_tflops, more_than_zero(), "TFLOP/s",
           "Peak of a rank's device, for the MFU and the planner."},
          {"efficiency", &ClusterConfig::efficiency, within(0.001, 1), "",
           "Share of the peak that matrix products reach."},
          {"memory_gbs", &ClusterConfig::memory_gbs, more_than_zero(), "GB/s",
           "Rate of a rank's memory."},
          {"device_memory_gb", &ClusterConfig::device_memory_gb, at_least(0), "GB",
           "Memory of a rank that a plan may take. 0: not bounded."},
          {"intra_gbs", &ClusterConfig::intra_gbs, more_than_zero(), "GB/s",
           "Rate between ranks of a node, in one direction."},
          {"intra_us", &ClusterConfig::intra_us, at_least(0), "microseconds",
           "Latency of a message between ranks of a node."},
          {"inter_gbs", &ClusterConfig::inter_gbs, more_than_zero(), "GB/s",
           "Rate between a rank and one of another node, in one direction."},
          {"inter_us", &ClusterConfig::inter_us, at_least(0), "microseconds",
           "Latency of a message between nodes."},
          {"node_gbs", &ClusterConfig::node_gbs, at_least(0), "GB/s",
           "Rate at which all ranks of a node together send to others. 0: each has its own port."},
      });
}

}  // namespace

std::vector<ConfigField> run_fields() {
  return joined({distributed_table(), checkpoint_table(), log_table(), cluster_table()});
}

}  // namespace rondo
