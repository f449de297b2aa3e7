#include "training/start/plan_request.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>

#include "base/user_error.h"
#include "distributed/plan/schedule/lower.h"
#include "distributed/plan/schedule/schedule_text.h"
#include "model/definition/element.h"

namespace rondo {
namespace {

Machine machine_of(const ClusterConfig& cluster) {
  Machine machine;
  machine.ranks_per_node = static_cast<int>(cluster.gpus_per_node);
  machine.flops_per_s = cluster.device_tflops * cluster.efficiency * 1e12;
  machine.memory_bytes_per_s = cluster.memory_gbs * 1e9;
  machine.memory_bytes = static_cast<int64_t>(cluster.device_memory_gb * 1e9);
  machine.intra = {cluster.intra_us * 1e-6, cluster.intra_gbs * 1e9};
  machine.inter = {cluster.inter_us * 1e-6, cluster.inter_gbs * 1e9};
  machine.node_bytes_per_s = cluster.node_gbs * 1e9;
  for (const auto& [size, slowness] : cluster.slowness) machine.speeds.push_back({size, slowness});
  return machine;
}

/// The computations of a schedule that `rondo plan --csv` or PyTorch wrote.
Program read_schedule(const std::string& path) {
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file || text.empty()) {
    throw UserError(fmt::format(
        "distributed.schedule = {}: cannot be read, or is empty; write one with rondo plan --csv",
        path));
  }
  try {
    return computations_of(from_csv(text));
  } catch (const UserError& error) {
    throw UserError(fmt::format("distributed.schedule = {}: {}", path, error.what()));
  }
}

Workload workload_of(const Config& config) {
  Workload work;
  work.model.spec = config.model;
  work.model.sharing = make_sharing_map(config.sharing, static_cast<int>(config.model.depth));
  work.model.relaxation_rank = config.relaxation_rank;
  work.sequence = config.data.sequence;
  work.micro_batch = config.train.micro_batch;
  const auto [compute, master] = run_elements(config.train.precision);
  work.compute_bytes = element_bytes(compute);
  work.master_bytes = element_bytes(master);
  work.recompute = config.train.recompute == "layer";
  work.zero = config.distributed.zero;
  return work;
}

}  // namespace

PlanRequest plan_request(const Config& config, int world) {
  const DistributedConfig& distributed = config.distributed;
  PlanRequest request;
  request.workload = workload_of(config);
  request.machine = machine_of(config.cluster);
  request.machine.reduces_overlap =
      distributed.backend == "nccl" || world > config.cluster.gpus_per_node;
  request.machine.copies_messages = distributed.backend != "nccl";
  request.world = world;
  request.global_batch = config.train.global_batch;
  request.pipeline = static_cast<int>(distributed.pipeline);
  request.neighbours = distributed.neighbours;
  request.route = distributed.route;
  request.passes = static_cast<int>(distributed.passes);
  request.cuts = distributed.cuts;
  request.schedule = distributed.schedule;
  if (is_schedule_file(distributed.schedule)) {
    request.schedule = schedule_name(ScheduleKind::given);
    request.given = read_schedule(distributed.schedule);
  }
  return request;
}

PlanRequest plan_request(const Config& config, const ModelDefinition& model, int world) {
  PlanRequest request = plan_request(config, world);
  request.workload.model = model;
  return request;
}

}  // namespace rondo
