// Trains a looped model with the branch of own_half.h on all ranks as one pipeline, and beside it
// in one process: the losses agree, and fall.
#include "examples/own_half/own_half.h"

#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include "distributed/comm/mpi_communicator.h"
#include "distributed/plan/plan.h"
#include "distributed/plan/route.h"
#include "model/optimizer/adamw.h"
#include "tests/model/tiny_model.h"
#include "training/models/local_model.h"

namespace rondo {
namespace {

constexpr int microbatches = 4;
constexpr double scale = 1.0 / (microbatches * 2 * TinyModel::sequence);
constexpr double lr = 1e-2;

Microbatch microbatch(int i) { return tiny_batch(2, 100 + static_cast<uint64_t>(i)); }

Plan plan_of(const ModelDefinition& model, int pipeline, int zero) {
  Workload work{.model = model,
                .sequence = TinyModel::sequence,
                .micro_batch = 2,
                .compute_bytes = 8,
                .master_bytes = 8,
                .zero = zero};
  const PlacementOptions options{.pipeline = pipeline, .route = "loop", .passes = 2};
  return make_plan(CostModel(work, {}), {.placement = make_placement(options, model),
                                         .schedule = ScheduleKind::zero_bubble,
                                         .replicas = 1,
                                         .microbatches = microbatches});
}

/// AdamW over the one buffer of the whole model.
AdamWRun whole_run(const FlatBuffer& buffer) {
  AdamWRun run{.master = buffer.values,
               .gradient = buffer.gradients,
               .exp_avg = at::zeros_like(buffer.values),
               .exp_avg_sq = at::zeros_like(buffer.values),
               .spans = {}};
  for (const auto& [spec, begin] : buffer.entries) {
    run.spans.push_back({begin, begin + spec.count(), spec.decays()});
  }
  return run;
}

void expect_training_is_that_of_one_process(int64_t rank, int zero) {
  const auto world = make_mpi_world(60);
  const ModelDefinition model = with_mixer(tiny_model({.strategy = "cycle", .unique = 4}, 8, rank));
  TinyModel whole(model, false, "float64", builders_with_mixer());
  draw_initial_values(whole.store, 1);
  AdamWRun adamw = whole_run(whole.store.buffers().front());
  LocalModel local(plan_of(model, world->size(), zero),
                   {.precision = Precision::parse("float64"),
                    .sequence = TinyModel::sequence,
                    .zero = zero,
                    .builders = builders_with_mixer()},
                   {*world, *world});
  local.draw(1);
  const MicrobatchSource source{microbatch, [](int) { return 2 * TinyModel::sequence; }};
  std::vector<double> losses;
  for (int step = 1; step <= 20; ++step) {
    double expected = 0.0;
    adamw.gradient.zero_();
    for (int i = 0; i < microbatches; ++i) expected += scale * whole.step(microbatch(i), scale);
    adamw_update(adamw, {}, lr, step);
    local.optimizer().clear_gradients();
    double loss = scale * local.train(source, {.gradient_scale = scale}).losses[cross_entropy];
    local.optimizer().gradient_norm();
    local.optimizer().update({}, lr, step, 1.0);
    world->all_reduce_sum({&loss, 1, ElementType::float64});
    EXPECT_NEAR(loss, expected, 1e-10) << "step " << step;
    losses.push_back(loss);
  }
  EXPECT_LT(losses.back(), 0.9 * losses.front());
}

TEST(OwnHalf, TrainsOnAPipelineAsInOneProcess) {
  for (const int zero : {0, 1}) {
    expect_training_is_that_of_one_process(/*rank=*/0, zero);
    expect_training_is_that_of_one_process(/*rank=*/2, zero);
  }
}

}  // namespace
}  // namespace rondo
