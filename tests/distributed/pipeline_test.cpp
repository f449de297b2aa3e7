// The heart: pipeline × replicas × map × route × schedule × zero is one process, in losses and in
// every gradient. Each rank computes what one process would and compares what it holds.
#include "distributed/pipeline.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/user_error.h"
#include "distributed/comm/mpi_communicator.h"
#include "distributed/plan/check.h"
#include "distributed/plan/lower.h"
#include "distributed/plan/schedule.h"
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

/// This rank's share of the model, built as the launcher builds it.
class Share {
 public:
  Share(const Case& c, const Placement& placement, Communicator& world)
      : model_(definition_of(c)),
        placement_(placement),
        layout_{placement.pipeline, world.size() / placement.pipeline},
        parts_(parts_of(model_.spec, model_.sharing, model_.relaxation_rank)),
        groups_(buffer_groups(parts_, placement, layout_.replicas)),
        world_groups_(on_world_ranks(groups_, placement, layout_.replicas)),
        pipeline_ranks_(own_pipeline(world)),
        store_(parameters(model_), buffer_plans(world_groups_, world.rank()),
               Precision::parse("float64"), torch::kCPU),
        buffers_(store_, world_groups_, {world, world}, c.zero),
        pipeline_(model_, store_,
                  {.placement = placement,
                   .groups = groups_,
                   .reduced_groups = reduced_groups(),
                   .sequence = TinyModel::sequence,
                   .recompute = c.recompute},
                  *pipeline_ranks_, buffers_) {}

  /// Takes over the weights of a whole model.
  void copy_from(const TinyModel& whole) {
    const torch::NoGradGuard no_grad;
    for (const ParameterSpec& spec : store_.parameters()) {
      store_.at(spec.path()).value.copy_(whole.value(spec.path()));
    }
    buffers_.adopt_values();
  }

  /// The lowered program of all ranks.
  Program program(const Case& c) const {
    const ScheduleOptions options{.kind = c.schedule, .microbatches = microbatches};
    const auto reduced = reductions(parts_, placement_, layout_.replicas);
    Program program = lower(generate(options, placement_), placement_, reduced);
    const StepSpec step{placement_, microbatches, reduced, live_bounds(options, placement_)};
    for (const std::string& complaint : check(program, step)) ADD_FAILURE() << complaint;
    return program;
  }

  Pipeline::Run run(const RankProgram& program, int world_rank) {
    const int replica = layout_.replica(world_rank);
    const MicrobatchSource source{[=](int i) { return global_microbatch(replica, i); },
                                  [](int) { return 2 * TinyModel::sequence; }};
    return pipeline_.run(program, source, scale);
  }

  const WorldLayout& layout() const { return layout_; }
  ComponentStore& store() { return store_; }
  ReplicaBuffers& buffers() { return buffers_; }
  int64_t sent_bytes() const { return pipeline_ranks_->traffic().activation; }

 private:
  std::vector<int> reduced_groups() const {
    std::vector<int> list;
    for (size_t g = 0; g < groups_.size(); ++g) {
      if (world_groups_[g].world_ranks.size() > 1) list.push_back(static_cast<int>(g));
    }
    return list;
  }

  std::unique_ptr<Communicator> own_pipeline(Communicator& world) const {
    std::vector<Group> groups;
    for (int replica = 0; replica < layout_.replicas; ++replica) {
      Group group{fmt::format("pipeline {}", replica), {}};
      for (int p = 0; p < layout_.pipeline; ++p) {
        group.ranks.push_back(layout_.world_rank(replica, p));
      }
      groups.push_back(group);
    }
    auto made = world.subgroups(groups);
    return std::move(made[static_cast<size_t>(layout_.replica(world.rank()))]);
  }

  ModelDefinition model_;
  Placement placement_;
  WorldLayout layout_;
  ModelParts parts_;
  std::vector<BufferGroup> groups_;
  std::vector<ReplicaGroup> world_groups_;
  std::unique_ptr<Communicator> pipeline_ranks_;
  ComponentStore store_;
  ReplicaBuffers buffers_;
  Pipeline pipeline_;
};

double relative(double a, double b) { return std::abs(a - b) / (1.0 + std::abs(b)); }

/// Largest difference between the summed gradients that this rank has and those of one process.
double worst_gradient(Share& share, const TinyModel& whole, int zero) {
  double worst = 0.0;
  const auto compare = [&](const ParameterSpec& spec, int64_t begin, const torch::Tensor& mine) {
    const torch::Tensor expected =
        whole.gradient(spec.path()).reshape(-1).narrow(0, begin, mine.numel());
    const double size = 1.0 + expected.abs().max().item<double>();
    worst = std::max(worst, (mine - expected).abs().max().item<double>() / size);
  };
  if (zero == 0) {
    for (const ParameterSpec& spec : share.store().parameters()) {
      compare(spec, 0, share.store().at(spec.path()).gradient.reshape(-1));
    }
    return worst;
  }
  // Only the owned shard is summed; its gradient lies where its optimizer state lies.
  for (const OwnedSlice& slice : share.buffers().needed_slices()) {
    compare(slice.parameter, slice.begin,
            share.store()
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
        parts_of(model.spec, model.sharing, c.rank));
  } catch (const UserError&) {
    return false;
  }
  TinyModel whole(model);
  whole.randomise();
  Share share(c, placement, world);
  share.copy_from(whole);
  double expected = 0.0;
  for (int replica = 0; replica < share.layout().replicas; ++replica) {
    for (int i = 0; i < microbatches; ++i) {
      expected += whole.step(global_microbatch(replica, i), scale);
    }
  }
  const Program program = share.program(c);
  const int own = share.layout().pipeline_rank(world.rank());
  const Pipeline::Run run = share.run(program[static_cast<size_t>(own)], world.rank());
  const double norm = share.buffers().gradient_norm();
  double loss = run.losses.contains(cross_entropy) ? run.losses.at(cross_entropy) : 0.0;
  world.all_reduce_sum({&loss, 1, ElementType::float64});
  EXPECT_LT(relative(loss, expected), 1e-10);
  EXPECT_LT(worst_gradient(share, whole, c.zero), 1e-10);
  double squares = 0.0;
  for (const ParameterSpec& spec : whole.parameters()) {
    squares += whole.gradient(spec.path()).square().sum().item<double>();
  }
  EXPECT_LT(relative(norm, std::sqrt(squares)), 1e-10);
  const Simulation simulated = simulate(
      program, placement,
      reductions(parts_of(model.spec, model.sharing, c.rank), placement, share.layout().replicas),
      {.message_bytes = 2 * TinyModel::sequence * model.spec.hidden * 8});
  EXPECT_EQ(run.peak_live, simulated.peak_live[static_cast<size_t>(own)]);
  EXPECT_EQ(share.sent_bytes(), simulated.activation_sent_bytes[static_cast<size_t>(own)]);
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
TEST(Pipeline, IsOneProcessForEveryMapRouteAndSchedule) {
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

TEST(Pipeline, IsOneProcessInEveryFamily) {
  const auto world = make_mpi_world(120);
  for (const std::string& family : model_families()) {
    Case c{.sharing = {.strategy = "cycle", .unique = 4}, .tied = true, .family = family};
    c.route = "vee";
    c.passes = 2;
    EXPECT_TRUE(agrees_with_one_process(c, world->size() > 4 ? 4 : world->size(), *world));
  }
}

}  // namespace
}  // namespace rondo
