#include "training/models/local_model.h"

#include <fmt/format.h>

#include <stdexcept>
#include <utility>

#include "distributed/plan/schedule/lower.h"
#include "distributed/plan/schedule/schedule.h"
#include "distributed/tensor_buffer.h"
#include "model/initial_values.h"
#include "model/tie_check.h"

namespace rondo {
namespace {

/// `plan`, which must be that of every rank: throws where one was started with another
/// configuration. Collective.
const Plan& same_on_all_ranks(const Plan& plan, Communicator& host) {
  const auto mine = static_cast<int64_t>(fingerprint(plan));
  int64_t first = mine;
  host.broadcast({&first, 1, ElementType::int64}, 0);
  int64_t others = mine == first ? 0 : 1;
  host.all_reduce_sum({&others, 1, ElementType::int64});
  if (others == 0) return plan;
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
  return std::move(made[layout.replica(world.rank())]);
}

}  // namespace

LocalModel::LocalModel(const Plan& plan, const LocalModelOptions& options, World world)
    : options_(options),
      whole_(same_on_all_ranks(plan, world.host).step),
      world_rank_(world.rank()),
      layout_(plan.layout()),
      parameters_(rondo::parameters(plan.step.model)),
      pipeline_ranks_(own_pipeline(layout_, world.tensors)),
      store_(parameters_, buffer_plans(plan.step.groups, world.rank()), options.precision,
             options.device),
      optimizer_(store_, plan.step.groups, world, options.zero) {
  check_ties(engine({}).pipeline->halves(), model().sharing);
}

/// A program is generated for each shape once; views of the weights cost nothing.
LocalModel::Engine& LocalModel::engine(const StepShape& shape) {
  Engine& engine = engines_[shape];
  if (engine.pipeline) return engine;
  engine.step = plan_step(whole_, shape);
  engine.pipeline = std::make_unique<Pipeline>(engine.step, store_,
                                               StageOptions{.sequence = options_.sequence,
                                                            .recompute = options_.recompute,
                                                            .teach = options_.teach,
                                                            .builders = options_.builders},
                                               *pipeline_ranks_, optimizer_);
  return engine;
}

const RankProgram& LocalModel::own(const Program& program) const {
  return program[layout_.pipeline_rank(world_rank_)];
}

Pipeline::Run LocalModel::train(const MicrobatchSource& source, const TrainOptions& options) {
  Engine& chosen = engine(options.shape);
  return chosen.pipeline->run(own(chosen.step.program), source, options.gradient_scale,
                              options.timed);
}

/// GPipe of chunks that nobody trains: nothing waits for a way back.
const RankProgram& LocalModel::forward_program(int microbatches) {
  const auto [entry, added] = forward_programs_.try_emplace(microbatches);
  if (!added) return entry->second;
  Placement placement = whole_.placement;
  for (Chunk& chunk : placement.chunks) chunk.trained = false;
  const ScheduleOptions options{.kind = ScheduleKind::gpipe, .microbatches = microbatches};
  return entry->second = own(lower(generate(options, placement), placement, {}));
}

double LocalModel::evaluate(const MicrobatchSource& source, int count) {
  if (count == 0) return 0.0;
  return engine({}).pipeline->run(forward_program(count), source, 0.0).losses[cross_entropy];
}

void LocalModel::sum_over_pipeline(const at::Tensor& values) {
  pipeline_ranks_->all_reduce_sum(buffer_of(values));
}

SentBytes LocalModel::traffic() const {
  SentBytes sum = optimizer_.traffic();
  sum.activation = pipeline_ranks_->traffic().activation;
  return sum;
}

void LocalModel::draw(uint64_t seed) {
  draw_initial_values(store_, seed);
  optimizer_.adopt_values();
}

void LocalModel::check_whole() {
  check_ties(engine({}).pipeline->halves(), model().sharing);
  optimizer_.check_replicas_equal();
}

}  // namespace rondo
