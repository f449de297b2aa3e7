// A parameter in ordinary LibTorch code: its gradient is autograd's, in the flat buffer.
#include "model/operations/graph_parameter.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "examples/own_half/own_half.h"
#include "tests/model/tiny_model.h"

namespace rondo {
namespace {

using at::Tensor;

/// A parameter of [3, 4] with a gradient buffer, in float64.
Parameter make_parameter() {
  at::manual_seed(5);
  return {at::randn({3, 4}, at::kDouble), at::zeros({3, 4}, at::kDouble)};
}

/// Uses `w` three times in one graph, once of them as a view.
Tensor use(const Tensor& w, const Tensor& x) {
  return (at::tanh(x.mm(w.t())).mm(w) * w.sum()).sum() + w.select(0, 1).square().sum();
}

TEST(InGraph, AddsTheGradientOfAutogradToTheBuffer) {
  const Parameter parameter = make_parameter();
  const Tensor x = at::randn({5, 4}, at::kDouble);
  const Tensor plain = parameter.value.clone().requires_grad_(true);
  use(plain, x).backward();
  use(in_graph(parameter), x).backward();
  EXPECT_TRUE(parameter.gradient.allclose(plain.grad(), 1e-14, 1e-14));
  // Again, of several calls in one graph, and weighted.
  (use(in_graph(parameter, 0.5), x) + use(in_graph(parameter, 0.5), x)).backward();
  EXPECT_TRUE(parameter.gradient.allclose(2.0 * plain.grad(), 1e-14, 1e-14));
}

TEST(InGraph, SharesTheMemoryOfTheParameterAndIsNoLeafOfIt) {
  const Parameter parameter = make_parameter();
  const Tensor node = in_graph(parameter);
  EXPECT_EQ(node.data_ptr(), parameter.value.data_ptr());
  EXPECT_TRUE(node.requires_grad());
  EXPECT_FALSE(parameter.value.requires_grad());
  const at::NoGradGuard no_grad;
  EXPECT_FALSE(in_graph(parameter).requires_grad());
}

TEST(InGraph, KeepsGradientsOfBfloat16ValuesInFloat32) {
  const Parameter parameter{at::randn({3, 4}, at::kBFloat16), at::zeros({3, 4}, at::kFloat)};
  for (int i = 0; i < 1000; ++i) in_graph(parameter).sum().backward();
  EXPECT_TRUE(parameter.gradient.equal(at::full({3, 4}, 1000.0)));  // bfloat16 stops at 256
}

/// The same model with the branch of the example, written with autograd's own leaves.
class PlainMixer {
 public:
  explicit PlainMixer(const TinyModel& tiny) : tiny_(tiny) {
    for (const ParameterSpec& spec : tiny.parameters()) {
      leaves_[spec.path()] = tiny.value(spec.path()).clone().requires_grad_(true);
    }
  }

  /// One executed feed-forward of `layer` on x [rows, hidden].
  Tensor branch(const Tensor& x, int layer) const {
    const ModelDefinition& model = tiny_.model;
    const auto leaf = [&](Kind kind, Slot slot, int id, const std::string& name) {
      return leaves_.at(to_string({kind, slot, id}) + "/" + name);
    };
    const int norm = model.sharing.id(Slot::feed_forward_norm, layer);
    const int weights = model.sharing.id(Slot::feed_forward, layer);
    const Tensor gain = leaf(Kind::slot, Slot::feed_forward_norm, norm, "weight");
    const Tensor read = x * (x.square().mean(1, true) + model.spec.norm_eps).rsqrt() * gain;
    Tensor mix = leaf(Kind::slot, Slot::feed_forward, weights, "mix/weight");
    Tensor gate = leaf(Kind::slot, Slot::feed_forward, weights, "gate");
    if (model.relaxation_rank > 0) {
      const auto own = [&](const char* name) {
        return leaf(Kind::adapter, Slot::feed_forward, layer, name);
      };
      mix = mix + own("mix/b").mm(own("mix/a"));
      gate = gate + own("gate");
    }
    return x + gate * at::tanh(read.mm(mix.t()));
  }

  const Tensor& leaf(const std::string& path) const { return leaves_.at(path); }

 private:
  const TinyModel& tiny_;
  std::map<std::string, Tensor> leaves_;
};

/// Of one half that is executed `uses` times: rondo's split backward against autograd.
void expect_gradients_of_autograd(int uses, int64_t rank, const std::string& policy) {
  SCOPED_TRACE(fmt::format("{} uses, rank {}, {}", uses, rank, policy));
  ModelDefinition model = with_mixer(tiny_model({.strategy = "universal"}, uses, rank));
  model.gradient = policy;
  TinyModel tiny(model, false, "float64", builders_with_mixer());
  tiny.randomise();
  PlainMixer plain(tiny);
  const std::vector<Half>& halves = tiny.stage.halves();
  const RotaryTable table(model.spec, TinyModel::sequence, at::kDouble);
  const AttentionMasks masks(0, 0, TinyModel::sequence, at::kCPU);
  LossTerms terms;
  at::manual_seed(3);
  Tensor x = at::randn({TinyModel::sequence, model.spec.hidden}, at::kDouble);
  Tensor expected = x;
  Tensor y = x;
  for (int layer = 0; layer < uses; ++layer) {
    const Half& half = halves[static_cast<size_t>(2 * layer + 1)];
    y = half.run({.x = y}, {{model.spec, table, masks}, terms}).x;
    expected = plain.branch(expected, layer);
  }
  EXPECT_TRUE(y.allclose(expected, 1e-13, 1e-13));
  y.square().sum().backward();
  expected.square().sum().backward();
  for (const std::string name : {"mix/weight", "gate"}) {
    const std::string path = "feed_forward/0/" + name;
    const double share = policy == "mean" ? 1.0 / uses : 1.0;
    EXPECT_TRUE(tiny.gradient(path).allclose(share * plain.leaf(path).grad(), 1e-12, 1e-12))
        << path;
  }
  for (int layer = 0; rank > 0 && layer < uses; ++layer) {
    for (const char* name : {"mix/a", "mix/b", "gate"}) {
      const std::string path = fmt::format("adapters/{}/feed_forward/{}", layer, name);
      EXPECT_TRUE(tiny.gradient(path).allclose(plain.leaf(path).grad(), 1e-12, 1e-12)) << path;
    }
  }
}

TEST(OwnHalf, HasTheGradientsOfAutograd) {
  for (const int uses : {1, 2, 4}) {
    expect_gradients_of_autograd(uses, 0, "sum");
    expect_gradients_of_autograd(uses, 2, "sum");
    expect_gradients_of_autograd(uses, 2, "mean");
  }
}

TEST(OwnHalf, GivesTheSameGradientsSplitRecomputedAndByMicrobatches) {
  const ModelDefinition model = with_mixer(tiny_model({.strategy = "cycle", .unique = 2}, 4, 2));
  const HalfBuilders builders = builders_with_mixer();
  TinyModel whole(model, false, "float64", builders);
  TinyModel split(model, true, "float64", builders);
  whole.randomise();
  split.randomise();
  const Microbatch batch = tiny_batch();
  EXPECT_EQ(whole.step(batch), split.step_in_halves(batch));
  for (const ParameterSpec& spec : whole.parameters()) {
    EXPECT_TRUE(whole.gradient(spec.path()).equal(split.gradient(spec.path()))) << spec.path();
  }
}

/// A half that adds a term of its own to the objective.
HalfFunction penalised(HalfWeights& weights) {
  return [gate = weights.parameter("gate")](const Stream& stream, const HalfContext& context) {
    const Tensor x = stream.x * gate.tensor();
    context.losses.push_back({"penalty", 0.1 * x.square().sum()});
    return Stream{.x = x};
  };
}

TEST(OwnHalf, MayAddToTheObjectiveInAnyChunk) {
  const ModelDefinition model = with_mixer(tiny_model({.strategy = "none"}, 2));
  const HalfBuilders builders = {{"attention", built_in_halves().at("attention")},
                                 {"mixer", penalised}};
  for (const bool recompute : {false, true}) {
    TinyModel tiny(model, recompute, "float64", builders);
    tiny.randomise();
    const Microbatch batch = tiny_batch();
    Stage::Tape tape;
    const StageResult made = tiny.stage.forward(batch, {}, 0.5, tape);
    tiny.stage.backward({}, tape);
    const auto objective = [&] {
      const StageResult result = tiny.stage.evaluate(batch, {});
      double sum = 0.0;
      for (const auto& [name, value] : result.losses) sum += value.item<double>();
      return 0.5 * sum;
    };
    EXPECT_GT(made.losses.at("penalty").item<double>(), 0.0);
    EXPECT_NEAR(0.5 * (made.losses.at("penalty") + made.losses.at(cross_entropy)).item<double>(),
                objective(), 1e-12);
    // By central differences, in both layers and before the half too.
    for (const char* path :
         {"feed_forward/0/gate", "feed_forward/1/gate", "attention_norm/0/weight"}) {
      Tensor value = tiny.value(path);
      const double at = value[3].item<double>();
      constexpr double step = 1e-5;
      value[3] = at + step;
      const double above = objective();
      value[3] = at - step;
      const double below = objective();
      value[3] = at;
      EXPECT_NEAR(tiny.gradient(path)[3].item<double>(), (above - below) / (2 * step), 1e-6)
          << path << " recompute " << recompute;
    }
  }
}

}  // namespace
}  // namespace rondo
