// The one reduction, on as many ranks as mpirun gives.
#include "distributed/sharded_optimizer.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include "distributed/comm/mpi_communicator.h"

namespace rondo {
namespace {

/// Components of odd sizes, so that shards cut through tensors.
std::vector<ParameterSpec> parameters() {
  const Component attention{Kind::slot, Slot::attention, 0};
  return {{attention, "q_proj/weight", {7, 5}},
          {attention, "k_proj/weight", {3, 5}},
          {{Kind::slot, Slot::attention_norm, 0}, "weight", {5}, Role::gain},
          {{Kind::embedding}, "weight", {11, 5}, Role::embedding}};
}

/// Everyone holds all but the embedding, which only the first and the last rank hold: a tied
/// embedding and head of a pipeline.
std::vector<ComponentGroup> groups(int world) {
  std::vector<int> all(static_cast<size_t>(world));
  std::iota(all.begin(), all.end(), 0);
  const std::vector<int> ends = world == 1 ? std::vector<int>{0} : std::vector<int>{0, world - 1};
  const WorldLayout layout{.pipeline = world};
  const Component attention{Kind::slot, Slot::attention, 0};
  const Component norm{Kind::slot, Slot::attention_norm, 0};
  return {{.components = {attention, norm}, .pipeline_ranks = all, .layout = layout},
          {.components = {{Kind::embedding}}, .pipeline_ranks = ends, .layout = layout}};
}

class Fixture {
 public:
  explicit Fixture(int zero, const std::string& precision = "float64")
      : world_(make_mpi_world(60)),
        store_(parameters(), buffer_plans(groups(world_->size()), world_->rank()),
               Precision::parse(precision), at::kCPU),
        optimizer_(fill(), groups(world_->size()), {*world_, *world_}, zero) {}

  /// Rank r adds (r + 1)·(i + 1) to element i of each tensor, so the sum is known.
  void add_gradients() {
    for (const ParameterSpec& spec : store_.parameters()) {
      at::Tensor gradient = store_.at(spec.path()).gradient.view(-1);
      gradient.add_(at::arange(1, spec.count() + 1).to(gradient.scalar_type()), world_->rank() + 1);
    }
  }

  bool holds(const std::string& path) const {
    for (const ParameterSpec& spec : store_.parameters()) {
      if (spec.path() == path) return true;
    }
    return false;
  }

  Communicator& world() { return *world_; }
  ComponentStore& store() { return store_; }
  ShardedOptimizer& optimizer() { return optimizer_; }

 private:
  ComponentStore& fill() {
    for (const ParameterSpec& spec : store_.parameters()) {
      at::Tensor value = store_.at(spec.path()).value.view(-1);
      value.copy_(at::arange(1, spec.count() + 1).to(value.scalar_type()) * 0.01);
    }
    return store_;
  }

  std::unique_ptr<Communicator> world_;
  ComponentStore store_;
  ShardedOptimizer optimizer_;
};

/// Σ (r + 1) over the holders of a component.
double holder_sum(const Component& component, int world) {
  for (const ComponentGroup& group : groups(world)) {
    for (const Component& held : group.components) {
      if (held != component) continue;
      double sum = 0.0;
      for (int rank : group.world_ranks()) sum += rank + 1;
      return sum;
    }
  }
  return 0.0;
}

TEST(Ownership, GivesEveryElementOfEveryTensorToOneMember) {
  ComponentStore store(parameters(), buffer_plans(groups(1), 0), Precision::parse("float64"),
                       at::kCPU);
  for (const FlatBuffer& buffer : store.buffers()) {
    const int64_t elements = buffer.values.numel();
    for (const int64_t members : {1, 2, 4}) {
      if (elements % members != 0) continue;
      std::map<std::string, int64_t> next;  // element of each tensor that nobody has yet
      for (int64_t index = 0; index < members; ++index) {
        const Ownership own = ownership(elements, members, index, /*sharded=*/true);
        EXPECT_EQ(own.updated, own.shard);
        EXPECT_EQ(ownership(elements, members, index, false).updated, (Range{0, elements}));
        for (const TensorPart& part : parts_in(buffer, own.shard)) {
          EXPECT_EQ(part.begin,
                    std::exchange(next[part.entry->spec.path()], part.begin + part.count));
        }
      }
      for (const auto& [spec, begin] : buffer.entries) EXPECT_EQ(next[spec.path()], spec.count());
    }
  }
}

TEST(ShardedOptimizer, CountEachComponentOnceInTheNorm) {
  for (int zero : {0, 1}) {
    Fixture ranks(zero);
    ranks.add_gradients();
    ranks.optimizer().reduce();
    double squares = 0.0;
    for (const ParameterSpec& spec : parameters()) {
      const double factor = holder_sum(spec.component, ranks.world().size());
      for (int64_t i = 1; i <= spec.count(); ++i) squares += std::pow(factor * i, 2);
    }
    EXPECT_NEAR(ranks.optimizer().gradient_norm(), std::sqrt(squares), 1e-9);
  }
}

/// One AdamW step of element i of a tensor whose summed gradient is `factor`·i.
double updated(double value, double factor, bool decays) {
  const AdamWOptions options;
  const double lr = 0.1;
  const double decayed = decays ? value * (1.0 - lr * options.weight_decay) : value;
  return decayed - lr * factor / (std::abs(factor) + options.eps);
}

TEST(ShardedOptimizer, BringTheSameUpdateToEveryHolder) {
  for (int zero : {0, 1}) {
    Fixture ranks(zero);
    ranks.optimizer().clear_gradients();
    ranks.add_gradients();
    ranks.optimizer().reduce();
    ranks.optimizer().update({}, 0.1, 1, 1.0);
    ranks.optimizer().wait_for_values();
    for (const ParameterSpec& spec : parameters()) {
      if (!ranks.holds(spec.path())) continue;
      const double factor = holder_sum(spec.component, ranks.world().size());
      const at::Tensor value = ranks.store().at(spec.path()).value.reshape(-1);
      for (int64_t i = 1; i <= spec.count(); ++i) {
        EXPECT_NEAR(value[i - 1].item<double>(),
                    updated(0.01 * i, factor * i, spec.shape.size() > 1), 1e-9)
            << spec.path() << " element " << i - 1 << " zero " << zero;
      }
    }
    EXPECT_NO_THROW(ranks.optimizer().check_replicas_equal());
  }
}

TEST(ShardedOptimizer, ScaleTheReducedGradient) {
  Fixture ranks(1);
  ranks.add_gradients();
  ranks.optimizer().reduce();
  const double before = ranks.optimizer().gradient_norm();
  ranks.optimizer().update({}, 0.0, 1, 0.5);
  ranks.optimizer().wait_for_values();
  EXPECT_NEAR(ranks.optimizer().gradient_norm(), 0.5 * before, 1e-9 * before);
}

TEST(ShardedOptimizer, WriteEveryElementExactlyOnce) {
  for (int zero : {0, 1}) {
    Fixture ranks(zero);
    for (const ParameterSpec& spec : parameters()) {
      std::vector<int64_t> times(static_cast<size_t>(spec.count()), 0);
      for (const OwnedSlice& slice : ranks.optimizer().checkpoint_slices()) {
        if (slice.parameter.path() != spec.path()) continue;
        EXPECT_EQ(slice.exp_avg.numel(), slice.master.numel());
        for (int64_t i = 0; i < slice.master.numel(); ++i) {
          ++times[slice.begin + i];
          EXPECT_DOUBLE_EQ(slice.master[i].item<double>(), 0.01 * (slice.begin + i + 1));
        }
      }
      ranks.world().all_reduce_sum({times.data(), spec.count(), ElementType::int64});
      EXPECT_EQ(times, std::vector<int64_t>(static_cast<size_t>(spec.count()), 1)) << spec.path();
    }
  }
}

TEST(ShardedOptimizer, KeepFloat32MastersBehindBfloat16Weights) {
  for (int zero : {0, 1}) {
    Fixture ranks(zero, "bfloat16");
    // Each step is far below what bfloat16 can hold of the value; only masters remember it.
    const std::string path = "attention/0/q_proj/weight";
    const float before = ranks.store().at(path).value[6][4].item<float>();
    for (int64_t step = 1; step <= 64; ++step) {
      ranks.optimizer().clear_gradients();
      ranks.add_gradients();
      ranks.optimizer().reduce();
      ranks.optimizer().update({.weight_decay = 0.0}, 1e-4, step, 1.0);
      ranks.optimizer().wait_for_values();
    }
    EXPECT_NEAR(ranks.store().at(path).value[6][4].item<float>(), before - 64e-4F, 2e-3F);
    EXPECT_NO_THROW(ranks.optimizer().check_replicas_equal());
  }
}

TEST(ShardedOptimizer, NoticeOneBitThatDiffers) {
  Fixture ranks(0);
  if (ranks.world().size() == 1) {
    EXPECT_NO_THROW(ranks.optimizer().check_replicas_equal());
    return;
  }
  if (ranks.world().rank() == 1) {
    at::Tensor value = ranks.store().at("attention/0/k_proj/weight").value;
    value[2][4] = std::nextafter(value[2][4].item<double>(), 10.0);
  }
  std::string error;
  try {
    ranks.optimizer().check_replicas_equal();
  } catch (const std::runtime_error& found) {
    error = found.what();
  }
  EXPECT_EQ(error.find("rank 1 holds other weights than the first member of "), 0U) << error;
}

TEST(ShardedOptimizer, SendNothingForAComponentWithOneHolder) {
  Fixture ranks(0);
  const SentBytes before = ranks.optimizer().traffic();
  ranks.optimizer().reduce();
  if (ranks.world().size() == 1) {
    EXPECT_EQ(ranks.optimizer().traffic().reduce, before.reduce);
  } else {
    EXPECT_GT(ranks.optimizer().traffic().reduce, before.reduce);
  }
}

}  // namespace
}  // namespace rondo
