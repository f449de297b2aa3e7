#include "training/replica.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <utility>

#include "distributed/comm/agree.h"
#include "distributed/plan/lower.h"
#include "distributed/plan/schedule.h"
#include "model/initial_values.h"

namespace rondo {
namespace {

/// Throws where a rank was started with another configuration.
void check_same_plan(const Plan& plan, Communicator& host) {
  const auto mine = static_cast<int64_t>(fingerprint(plan));
  int64_t first = mine;
  host.broadcast({&first, 1, ElementType::int64}, 0);
  int64_t others = mine == first ? 0 : 1;
  host.all_reduce_sum({&others, 1, ElementType::int64});
  if (others == 0) return;
  throw std::runtime_error(fmt::format(
      "{} of {} ranks have another plan than rank 0: all must be started with one configuration",
      others, host.size()));
}

/// The ranks of this rank's own pipeline. Collective over the world.
std::unique_ptr<Communicator> own_pipeline(const WorldLayout& layout, Communicator& world) {
  std::vector<Group> groups;
  for (int replica = 0; replica < layout.replicas; ++replica) {
    Group group{fmt::format("pipeline {}", replica), {}};
    for (int p = 0; p < layout.pipeline; ++p) group.ranks.push_back(layout.world_rank(replica, p));
    groups.push_back(group);
  }
  auto made = world.subgroups(groups);
  return std::move(made[static_cast<size_t>(layout.replica(world.rank()))]);
}

}  // namespace

Replica::Replica(const ModelDefinition& model, const Plan& plan, const ReplicaOptions& options,
                 World world)
    : model_(model),
      options_(options),
      plan_((check_same_plan(plan, world.host), plan)),
      world_rank_(world.rank()),
      layout_{plan.placement().pipeline, plan.chosen.choice.replicas},
      parameters_(parameters(model)),
      pipeline_ranks_(own_pipeline(layout_, world.tensors)),
      store_(parameters_, buffer_plans(plan.world_groups, world.rank()), options.precision,
             options.device),
      buffers_(store_, plan.world_groups, world, options.zero) {
  check_ties(engine({}).pipeline->halves(), model.sharing);
}

/// A program is generated for each depth once; views of the weights cost nothing.
Replica::Engine& Replica::engine(const StepDepth& depth) {
  Engine& engine = engines_[depth];
  if (engine.pipeline) return engine;
  const ModelParts parts = parts_of(model_.spec, model_.sharing, model_.relaxation_rank);
  engine.step = depth.passes == 0 ? whole_step(plan_, parts) : step_of(plan_, parts, depth);
  ModelDefinition model = model_;
  model.executed = engine.step.layers;
  engine.pipeline =
      std::make_unique<Pipeline>(model, store_,
                                 PipelineLayout{.placement = engine.step.placement,
                                                .groups = engine.step.groups,
                                                .reduced_groups = engine.step.reduced_groups,
                                                .sequence = options_.sequence,
                                                .recompute = options_.recompute,
                                                .teach = options_.teach},
                                 *pipeline_ranks_, buffers_);
  return engine;
}

const RankProgram& Replica::own(const Program& program) const {
  return program[static_cast<size_t>(layout_.pipeline_rank(world_rank_))];
}

Pipeline::Run Replica::train(const MicrobatchSource& source, const TrainOptions& options) {
  Engine& chosen = engine(options.depth);
  return chosen.pipeline->run(own(chosen.step.program), source, options.gradient_scale,
                              options.timed);
}

double Replica::executed_share(const StepDepth& depth) const {
  const std::optional<Recurrence> all = recurrence(model_.sharing);
  if (!all) return 1.0;
  const int left_out = (all->passes - depth.passes) * all->period;
  return 1.0 - static_cast<double>(left_out) / model_.sharing.depth();
}

/// The forward half of GPipe: nothing waits for a way back.
const RankProgram& Replica::forward_program(int microbatches) {
  const auto [entry, added] = forward_programs_.try_emplace(microbatches);
  if (!added) return entry->second;
  const Placement& placement = plan_.placement();
  Program program =
      generate({.kind = ScheduleKind::gpipe, .microbatches = microbatches}, placement);
  for (RankProgram& list : program) {
    std::erase_if(list, [](const Action& action) { return action.op != Op::forward; });
  }
  return entry->second = own(lower(program, placement, {}));
}

double Replica::evaluate(const MicrobatchSource& source, int count) {
  // So many at a time fill the pipeline, and bound what the first rank may run ahead.
  const int at_a_time = 4 * layout_.pipeline;
  double loss = 0.0;
  for (int first = 0; first < count; first += at_a_time) {
    const MicrobatchSource part{[&, first](int i) { return source.load(first + i); },
                                [&, first](int i) { return source.rows(first + i); }};
    const RankProgram& program = forward_program(std::min(at_a_time, count - first));
    loss += engine({}).pipeline->run(program, part, 0.0).losses[cross_entropy];
  }
  return loss;
}

Communicator::Traffic Replica::traffic() const {
  Communicator::Traffic sum = buffers_.traffic();
  sum.activation = pipeline_ranks_->traffic().activation;
  return sum;
}

void Replica::draw(uint64_t seed) {
  draw_initial_values(store_, seed);
  buffers_.adopt_values();
}

/// What this rank needs. Returns the checksums, by dataset, of the elements that it would save.
std::map<std::string, uint64_t> Replica::read(const CheckpointReader& reader, bool optimizer) {
  std::map<std::string, uint64_t> sums;
  for (OwnedSlice& slice : buffers_.needed_slices()) {
    const auto take = [&](const std::string& dataset, torch::Tensor& target) {
      sums[dataset] +=
          reader.read_range(dataset, slice.begin, target, slice.saved_begin, slice.saved_end);
    };
    take(parameter_dataset(slice.parameter), slice.master);
    if (!optimizer) continue;
    take(exp_avg_dataset(slice.parameter), slice.exp_avg);
    take(exp_avg_sq_dataset(slice.parameter), slice.exp_avg_sq);
  }
  return sums;
}

void Replica::load(const CheckpointReader& reader, const LoadOptions& options, Communicator& host) {
  // Of the whole model, in one order on every rank.
  const auto all = datasets_of(parameters_, store_.precision().master, options.optimizer);
  std::vector<int64_t> sums(all.size(), 0);  // modulo 2^64, as the checksums are
  agree(host, [&] {
    std::map<std::string, uint64_t> mine = read(reader, options.optimizer);
    for (size_t i = 0; i < all.size(); ++i) sums[i] = static_cast<int64_t>(mine[all[i].path]);
  });
  host.all_reduce_sum({sums.data(), static_cast<int64_t>(sums.size()), ElementType::int64});
  agree(host, [&] {
    for (size_t i = 0; options.verify && i < all.size(); ++i) {
      reader.compare_checksum(all[i].path, static_cast<uint64_t>(sums[i]));
    }
  });
  buffers_.publish_values();
}

Save Replica::snapshot(const std::string& file, const CheckpointHeader& header) {
  check_ties(engine({}).pipeline->halves(), model_.sharing);
  buffers_.check_replicas_equal();
  Save save{.file = file, .header = header};
  save.all = datasets_of(parameters_, store_.precision().master, /*optimizer=*/true);
  for (const OwnedSlice& slice : buffers_.checkpoint_slices()) {
    const auto write = [&](const std::string& dataset, const torch::Tensor& values) {
      save.mine.push_back({dataset, slice.begin, values});
    };
    write(parameter_dataset(slice.parameter), slice.master);
    write(exp_avg_dataset(slice.parameter), slice.exp_avg);
    write(exp_avg_sq_dataset(slice.parameter), slice.exp_avg_sq);
  }
  return save;
}

}  // namespace rondo
