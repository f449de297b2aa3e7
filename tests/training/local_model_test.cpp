// The heart: pipeline × replicas × map × route × schedule × zero is one process, in losses and in
// every gradient. Each rank computes what one process would and compares what it holds.
#include "training/models/local_model.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/user_error.h"
#include "distributed/comm/mpi_communicator.h"
#include "distributed/plan/route.h"
#include "distributed/plan/schedule/schedule.h"
#include "tests/model/tiny_model.h"

namespace rondo {
namespace {

constexpr int microbatches = 4;  // per replica

struct Case {
  SharingOptions sharing;
  int depth = 8;
  bool tied = false;
  std::string family = "llama";
  std::string route = "contiguous";
  int passes = 0;
  bool half_layers = false;
  ScheduleKind schedule = ScheduleKind::one_forward_one_backward;
  int zero = 0;
  bool recompute = false;
  int64_t rank = 0;  ///< of the relaxation

  std::string name() const {
    return fmt::format(
        "{} unique {} attention '{}' depth {} {} {} route {} passes {} half {} {} zero {} "
        "recompute {} rank {}",
        sharing.strategy, sharing.unique, sharing.attention, depth, tied ? "tied" : "untied",
        family, route, passes, half_layers, schedule_name(schedule), zero, recompute, rank);
  }
};

ModelDefinition definition_of(const Case& c) {
  ModelDefinition model = tiny_model(c.sharing, c.depth, c.rank);
  model.spec.tie_embeddings = c.tied;
  model.spec.family = c.family;
  model.spec.positions = c.family == "gpt2" ? TinyModel::sequence : 0;
  return model;
}

/// The number of microbatch i of a replica among all of the step.
Microbatch global_microbatch(int replica, int i) {
  return tiny_batch(2, 1000 + static_cast<uint64_t>(replica * microbatches + i));
}

constexpr double scale = 0.125;

/// The plan of a case, as the planner makes it.
Plan plan_of(const Case& c, const ModelDefinition& model, const Placement& placement, int world) {
  Workload work;
  work.model = model;
  work.sequence = TinyModel::sequence;
  work.micro_batch = 2;
  work.compute_bytes = work.master_bytes = 8;
  work.recompute = c.recompute;
  work.zero = c.zero;
  return make_plan(CostModel(work, {}),
                   {.placement = placement,
                    .schedule = c.schedule,
                    .replicas = world / placement.pipeline,
                    .microbatches = microbatches,
                    .neighbours = c.recompute ? Neighbours::replicas : Neighbours::stages});
}

/// Takes over the weights of a whole model.
void copy_weights(const TinyModel& whole, LocalModel& local) {
  const at::NoGradGuard no_grad;
  for (const ParameterSpec& spec : local.store().parameters()) {
    local.store().at(spec.path()).value.copy_(whole.value(spec.path()));
  }
  local.optimizer().adopt_values();
}

Pipeline::Run run_step(LocalModel& local) {
  const int replica = local.replica();
  const MicrobatchSource source{[=](int i) { return global_microbatch(replica, i); },
                                [](int) { return 2 * TinyModel::sequence; }};
  return local.train(source, {.gradient_scale = scale});
}

double relative(double a, double b) { return std::abs(a - b) / (1.0 + std::abs(b)); }

/// Largest difference between the summed gradients that this rank has and those of one process.
double worst_gradient(LocalModel& local, const TinyModel& whole, int zero) {
  double worst = 0.0;
  const auto compare = [&](const ParameterSpec& spec, int64_t begin, const at::Tensor& mine) {
    const at::Tensor expected =
        whole.gradient(spec.path()).reshape(-1).narrow(0, begin, mine.numel());
    const double size = 1.0 + expected.abs().max().item<double>();
    worst = std::max(worst, (mine - expected).abs().max().item<double>() / size);
  };
  if (zero == 0) {
    for (const ParameterSpec& spec : local.store().parameters()) {
      compare(spec, 0, local.store().at(spec.path()).gradient.reshape(-1));
    }
    return worst;
  }
  // Only the owned shard is summed; its gradient lies where its optimizer state lies.
  for (const OwnedSlice& slice : local.optimizer().needed_slices()) {
    compare(slice.parameter, slice.begin,
            local.store()
                .at(slice.parameter.path())
                .gradient.reshape(-1)
                .narrow(0, slice.begin, slice.master.numel()));
  }
  return worst;
}

/// Runs one case on pipelines of `pipeline` ranks. False where it has no such placement.
bool agrees_with_one_process(const Case& c, int pipeline, Communicator& world) {
  SCOPED_TRACE(fmt::format("pipeline {} of {}: {}", pipeline, world.size(), c.name()));
  const ModelDefinition model = definition_of(c);
  Placement placement;
  try {
    placement = make_placement(
        {.pipeline = pipeline, .route = c.route, .passes = c.passes, .half_layers = c.half_layers},
        model);
  } catch (const UserError&) {
    return false;
  }
  TinyModel whole(model);
  whole.randomise();
  const Plan plan = plan_of(c, model, placement, world.size());
  LocalModel local(plan,
                   {.precision = Precision::parse("float64"),
                    .sequence = TinyModel::sequence,
                    .recompute = c.recompute,
                    .zero = c.zero},
                   {world, world});
  copy_weights(whole, local);
  double expected = 0.0;
  for (int replica = 0; replica < local.layout().replicas; ++replica) {
    for (int i = 0; i < microbatches; ++i) {
      expected += whole.step(global_microbatch(replica, i), scale);
    }
  }
  const int own = local.layout().pipeline_rank(world.rank());
  const Pipeline::Run run = run_step(local);
  const double norm = local.optimizer().gradient_norm();
  double loss = run.losses.contains(cross_entropy) ? run.losses.at(cross_entropy) : 0.0;
  world.all_reduce_sum({&loss, 1, ElementType::float64});
  EXPECT_LT(relative(loss, expected), 1e-10);
  EXPECT_LT(worst_gradient(local, whole, c.zero), 1e-10);
  double squares = 0.0;
  for (const ParameterSpec& spec : whole.parameters()) {
    squares += whole.gradient(spec.path()).square().sum().item<double>();
  }
  EXPECT_LT(relative(norm, std::sqrt(squares)), 1e-10);
  const Simulation simulated =
      simulate(plan.step.program, placement, plan.step.groups,
               {.messages = std::vector<MessageCost>(
                    placement.chunks.size(), {2 * TinyModel::sequence * model.spec.hidden * 8})});
  auto buffer = local.store().buffers().begin();
  for (const ComponentGroup& group : plan.step.groups) {
    const std::vector<int>& ranks = group.pipeline_ranks;
    if (std::find(ranks.begin(), ranks.end(), own) == ranks.end()) continue;
    EXPECT_EQ(buffer++->values.numel(), group.buffer_elements()) << "as the planner prices it";
  }
  EXPECT_EQ(run.peak_live, simulated.peak_live[own]);
  EXPECT_EQ(local.traffic().activation, simulated.activation_sent_bytes[own]);
  return true;
}

std::vector<SharingOptions> maps() {
  return {{.strategy = "sequence", .unique = 4},
          {.strategy = "cycle", .unique = 4},
          {.strategy = "cycle_rev", .unique = 4},
          {.strategy = "zigzag", .unique = 4},
          {.strategy = "middle_cycle", .unique = 5},
          {.strategy = "explicit", .map = {0, 1, 2, 0, 3, 1, 1, 2}},
          {.strategy = "cycle", .unique = 4, .attention = "sequence:2", .norms = "none"},
          {.strategy = "none"}};
}

struct Route {
  const char* route;
  int passes;
  bool half_layers;
};
const std::vector<Route> routes = {{"contiguous", 0, false}, {"loop", 2, false},
                                   {"vee", 2, false},        {"mixed", 2, false},
                                   {"++-", 0, true},         {"contiguous", 0, true}};
const std::vector<ScheduleKind> schedules = {ScheduleKind::gpipe,
                                             ScheduleKind::one_forward_one_backward,
                                             ScheduleKind::interleaved, ScheduleKind::zero_bubble};

/// Every combination with RONDO_SWEEP=all; else a part, the smaller the more ranks share the cores.
TEST(LocalModel, IsOneProcessForEveryMapRouteAndSchedule) {
  const auto world = make_mpi_world(120);
  const char* sweep = std::getenv("RONDO_SWEEP");
  const bool all = sweep != nullptr && std::string(sweep) == "all";
  const int stride = all ? 1 : world->size() > 2 ? 29 : 7;
  int number = 0;
  int ran = 0;
  for (const SharingOptions& sharing : maps()) {
    for (const Route& route : routes) {
      for (const ScheduleKind schedule : schedules) {
        for (const int variant : {0, 1, 2, 3, 4, 5, 6, 7}) {
          if (number++ % stride != 0) continue;
          Case c{.sharing = sharing, .tied = variant % 3 == 0};
          c.route = route.route;
          c.passes = route.passes;
          c.half_layers = route.half_layers;
          c.schedule = schedule;
          c.zero = variant & 1;
          c.recompute = (variant & 2) != 0;
          c.rank = (variant & 4) != 0 ? 4 : 0;
          for (int pipeline = 1; pipeline <= world->size(); pipeline *= 2) {
            ran += agrees_with_one_process(c, pipeline, *world) ? 1 : 0;
          }
          if (testing::Test::HasFailure()) return;
        }
      }
    }
  }
  EXPECT_GT(ran, 100);
}

TEST(LocalModel, IsOneProcessInEveryFamily) {
  const auto world = make_mpi_world(120);
  for (const std::string& family : model_families()) {
    Case c{.sharing = {.strategy = "cycle", .unique = 4}, .tied = true, .family = family};
    c.route = "vee";
    c.passes = 2;
    EXPECT_TRUE(agrees_with_one_process(c, world->size() > 4 ? 4 : world->size(), *world));
  }
}

TEST(LocalModel, EvaluatesWhatItTrainsOnWithoutATrace) {
  const auto world = make_mpi_world(120);
  Case c{.sharing = {.strategy = "cycle", .unique = 4}};
  c.route = "loop";
  c.passes = 2;
  const ModelDefinition model = definition_of(c);
  const Placement placement = make_placement(
      {.pipeline = world->size(), .route = c.route, .passes = c.passes, .half_layers = false},
      model);
  TinyModel whole(model);
  whole.randomise();
  LocalModel local(plan_of(c, model, placement, world->size()),
                   {.precision = Precision::parse("float64"), .sequence = TinyModel::sequence},
                   {*world, *world});
  copy_weights(whole, local);
  const MicrobatchSource source{[](int i) { return global_microbatch(0, i); },
                                [](int) { return 2 * TinyModel::sequence; }};
  double loss = local.evaluate(source, 3);
  world->all_reduce_sum({&loss, 1, ElementType::float64});
  double expected = 0.0;
  for (int i = 0; i < 3; ++i) expected += whole.step(global_microbatch(0, i));
  EXPECT_LT(relative(loss, expected), 1e-10);
  for (const FlatBuffer& buffer : local.store().buffers()) {
    EXPECT_EQ(buffer.gradients.count_nonzero().item<int64_t>(), 0);
  }
  EXPECT_EQ(local.evaluate(source, 0), 0.0);
}

}  // namespace
}  // namespace rondo
