#include "training/machine/measure.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "distributed/plan/cost.h"
#include "distributed/tensor_buffer.h"
#include "model/component_store.h"
#include "model/initial_values.h"
#include "model/stage.h"
#include "training/start/plan_request.h"

namespace rondo {
namespace {

using Clock = std::chrono::steady_clock;

/// Lower quartile of the seconds of `work`, over about `budget_s` and at least five runs after a
/// first one: what else the machine does only ever adds to them.
double typical_seconds(const std::function<void()>& work, double budget_s) {
  const auto time = [&] {
    const Clock::time_point start = Clock::now();
    work();
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  const double first = time();
  const int runs = std::clamp(static_cast<int>(budget_s / std::max(first, 1e-6)), 5, 400);
  std::vector<double> seconds;
  for (int i = 0; i < runs; ++i) seconds.push_back(time());
  std::nth_element(seconds.begin(), seconds.begin() + runs / 4, seconds.end());
  return seconds[runs / 4];
}

double mean_over_ranks(double value, Communicator& world) {
  world.all_reduce_sum({&value, 1, ElementType::float64});
  return value / world.size();
}

/// A few layers of the model between its embedding and its head, in memory of their own: more than
/// one, so that weights come from where they come from in a step.
class Probe {
 public:
  Probe(const Config& config, const ModelDefinition& model, at::Device device)
      : model_(shortened(model)),
        store_(parameters(model_), {{components(model_), 1}},
               Precision::parse(config.train.precision), device),
        sequence_(config.data.sequence),
        rows_(config.train.micro_batch * config.data.sequence),
        recompute_(config.train.recompute == "layer") {
    draw_initial_values(store_, 1);
    const auto tokens = at::dtype(at::kLong).device(device);
    batch_ = {at::randint(0, model.spec.vocab, {rows_}, tokens),
              at::randint(0, model.spec.vocab, {rows_}, tokens)};
    x_ = at::randn({rows_, model.spec.hidden}, at::dtype(at::kFloat).device(device))
             .to(store_.precision().compute);
  }

  int layers() const { return model_.sharing.depth(); }

  /// Forward and backward of a microbatch, in seconds.
  double seconds(bool with_ends) const {
    const Stage stage(model_, store_,
                      {.halves = {0, half_layers(model_)},
                       .embeds = with_ends,
                       .ends_with_head = with_ends,
                       .sequence = sequence_,
                       .recompute = recompute_});
    const auto work = [&] {
      Stage::Tape tape;
      const StageResult made = stage.forward(batch_, {.x = x_}, 1.0, tape);
      const Stream gradient = stage.backward(made.stream, tape);
      if (!x_.is_cuda()) return;
      // Waits for the device.
      (with_ends ? made.losses.at(cross_entropy) : gradient.x.sum()).item();
    };
    return typical_seconds(work, 1.0);
  }

 private:
  static ModelDefinition shortened(ModelDefinition model) {
    model.spec.depth = std::min<int64_t>(4, model.sharing.depth());
    model.sharing = make_sharing_map({}, static_cast<int>(model.spec.depth));
    return model;
  }

  ModelDefinition model_;
  ComponentStore store_;
  int64_t sequence_;
  int64_t rows_;
  bool recompute_;
  Microbatch batch_;
  at::Tensor x_;  ///< [rows, hidden]
};

/// How much longer layers and head take than the table's figures say, weighted as the whole model
/// executes them.
double slowness(const Config& config, const ModelDefinition& model, World world,
                at::Device device) {
  const Probe probe(config, model, device);
  world.host.barrier();
  const double layers_s = probe.seconds(/*with_ends=*/false);
  const double ends_s = probe.seconds(/*with_ends=*/true) - layers_s;
  const int depth = model.sharing.depth();
  const PlanRequest request = plan_request(config, model, world.size());
  const CostModel priced(request.workload, request.machine);
  const Chunk whole{.halves = {0, half_layers(model)}, .embeds = true, .ends_with_head = true};
  const double expected_s = seconds(priced.chunk(whole, /*split=*/false));
  return mean_over_ranks((depth * layers_s / probe.layers() + ends_s) / expected_s, world.host);
}

/// By size of a microbatch: the configured one; where that is open, a few, and the planner reads
/// between them.
std::map<int64_t, double> slowness_by_size(Config config, const ModelDefinition& model, World world,
                                           at::Device device) {
  const int64_t given = config.train.micro_batch;
  std::map<int64_t, double> list;
  for (const int64_t size : given == 0 ? std::vector<int64_t>{1, 4, 16} : std::vector{given}) {
    if (size > config.train.global_batch) break;
    config.train.micro_batch = size;
    list[size] = slowness(config, model, world, device);
  }
  return list;
}

/// Ranks r and r + distance, for each r below `count`.
struct Pairs {
  int distance = 1;
  int count = 1;

  /// None where the rank is in no pair.
  std::optional<int> other(int rank) const {
    if (rank < count) return rank + distance;
    const int first = rank - distance;
    return first >= 0 && first < count ? std::optional(first) : std::nullopt;
  }
};

/// Seconds of one message of `bytes` within a pair while all pairs send one, there and back halved;
/// on every rank the same number. Collective.
double message_seconds(Pairs pairs, int64_t bytes, World world, at::Device device) {
  const at::Tensor buffer =
      at::zeros({std::max<int64_t>(1, bytes / 4)}, at::dtype(at::kFloat).device(device));
  const int rank = world.rank();
  const std::optional<int> other = pairs.other(rank);
  const auto turn = [&](bool sends) {
    // All pairs send in one direction: two that met would each have a link to themselves.
    if (pairs.count > 1) world.host.barrier();
    if (!other) return;
    auto call = sends ? world.tensors.start_send(buffer_of(buffer), *other)
                      : world.tensors.start_receive(buffer_of(buffer), *other);
    call->wait();
  };
  const auto round = [&] {
    turn(other && rank < *other);
    turn(other && rank > *other);
  };
  round();
  constexpr int rounds = 10;
  const Clock::time_point start = Clock::now();
  for (int i = 0; i < rounds; ++i) round();
  const double seconds =
      other ? std::chrono::duration<double>(Clock::now() - start).count() / (2 * rounds) : 0.0;
  return mean_over_ranks(seconds, world.host) * world.size() / (2.0 * pairs.count);
}

struct Link {
  double gbs;
  double us;
};

/// The link of each pair while all pairs send at once.
Link measure_link(Pairs pairs, World world, at::Device device) {
  const double latency_s = message_seconds(pairs, 4, world, device);
  // Slow links get a smaller message, so that this stays a matter of a second.
  int64_t bytes = 64 << 10;
  double seconds = message_seconds(pairs, bytes, world, device);
  if (seconds < 5e-3) {
    bytes = 4 << 20;
    seconds = message_seconds(pairs, bytes, world, device);
  }
  const double transfer_s = std::max(seconds - latency_s, 1e-9);
  return {static_cast<double>(bytes) / transfer_s / 1e9, latency_s * 1e6};
}

}  // namespace

ClusterConfig measure_cluster(const Config& config, const ModelDefinition& model, World world,
                              at::Device device) {
  ClusterConfig cluster = config.cluster;
  const std::map<int64_t, double> slower = slowness_by_size(config, model, world, device);
  const double least =
      std::min_element(slower.begin(), slower.end(), [](const auto& a, const auto& b) {
        return a.second < b.second;
      })->second;
  cluster.efficiency /= least;
  cluster.memory_gbs /= least;
  for (const auto& [size, slowness] : slower) cluster.slowness[size] = slowness / least;
  const auto per_node = static_cast<int>(cluster.gpus_per_node);
  if (world.size() > 1 && per_node > 1) {
    const Link link = measure_link({.distance = 1}, world, device);
    cluster.intra_gbs = link.gbs;
    cluster.intra_us = link.us;
  }
  if (world.size() > per_node) {
    const Link link = measure_link({.distance = per_node}, world, device);
    cluster.inter_gbs = link.gbs;
    cluster.inter_us = link.us;
    const int ranks = std::min(per_node, world.size() - per_node);
    const Pairs all{.distance = per_node, .count = ranks};
    cluster.node_gbs = ranks > 1 ? ranks * measure_link(all, world, device).gbs : 0.0;
  }
  return cluster;
}

std::string describe(const ClusterConfig& cluster) {
  const std::string node =
      cluster.node_gbs > 0 ? fmt::format(", a node {:.3g} GB/s in all", cluster.node_gbs) : "";
  return fmt::format(
      "measured: a rank computes {:.3g} TFLOP/s; messages within a node {:.3g} GB/s and {:.3g} us, "
      "between nodes {:.3g} GB/s and {:.3g} us{}",
      cluster.device_tflops * cluster.efficiency, cluster.intra_gbs, cluster.intra_us,
      cluster.inter_gbs, cluster.inter_us, node);
}

}  // namespace rondo
