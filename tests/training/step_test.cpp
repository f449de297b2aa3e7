// One step of the trainer is what a few lines of LibTorch compute: loss, norm, every weight.
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/einsum.h>
#include <ATen/ops/nll_loss.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>

#include "checkpoint/format/checkpoint_reader.h"
#include "checkpoint/format/checkpoint_writer.h"
#include "distributed/comm/mpi_communicator.h"
#include "tests/checkpoint/temporary_folder.h"
#include "training/trainer.h"

namespace rondo {
namespace {

using at::Tensor;

constexpr int64_t hidden = 16, heads = 4, kv_heads = 2, head_dim = 4, vocab = 13, tokens = 6;
constexpr double theta = 100.0, eps = 1e-5;
constexpr double lr = 1e-2, beta1 = 0.9, beta2 = 0.95, decay = 0.1, clip = 0.5;

ModelDefinition one_block_twice() {
  const ModelSpec spec = {.hidden = hidden,
                          .depth = 2,
                          .heads = heads,
                          .kv_heads = kv_heads,
                          .head_dim = head_dim,
                          .ffn = 24,
                          .vocab = vocab,
                          .rope_theta = theta,
                          .norm_eps = eps,
                          .tie_embeddings = false};
  return {spec, make_sharing_map({.strategy = "universal"}, 2)};
}

// The same function by hand, as in Llama (arXiv 2302.13971), with autograd.

using Weights = std::map<std::string, Tensor>;

Tensor norm(const Tensor& x, const Tensor& gain) {
  return x * at::rsqrt(x.square().mean(-1, true) + eps) * gain;
}

/// x [tokens, heads, head_dim].
Tensor rotate(const Tensor& x) {
  const Tensor place = at::arange(tokens, at::kDouble).view({-1, 1, 1});
  const Tensor pair = at::arange(head_dim / 2, at::kDouble).view({1, 1, -1});
  const Tensor angle = place * at::pow(theta, -2.0 * pair / head_dim);
  const Tensor a = x.narrow(2, 0, head_dim / 2);
  const Tensor b = x.narrow(2, head_dim / 2, head_dim / 2);
  return at::cat({a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()}, 2);
}

/// x [tokens, hidden].
Tensor attention(const Tensor& x, const Weights& w) {
  const auto project = [&](const std::string& name, int64_t count) {
    return x.matmul(w.at("attention/0/" + name + "/weight").t()).view({tokens, count, head_dim});
  };
  const Tensor q = rotate(project("q_proj", heads));
  const Tensor k = rotate(project("k_proj", kv_heads)).repeat_interleave(heads / kv_heads, 1);
  const Tensor v = project("v_proj", kv_heads).repeat_interleave(heads / kv_heads, 1);
  const Tensor scores = at::einsum("qhd,khd->hqk", {q, k}) / std::sqrt(double{head_dim});
  const Tensor future = at::ones({tokens, tokens}, at::kBool).triu(1);
  const Tensor share = scores.masked_fill(future, -INFINITY).softmax(-1);
  const Tensor mixed = at::einsum("hqk,khd->qhd", {share, v}).reshape({tokens, hidden});
  return mixed.matmul(w.at("attention/0/o_proj/weight").t());
}

Tensor feed_forward(const Tensor& x, const Weights& w) {
  const auto matrix = [&](const std::string& name) {
    return w.at("feed_forward/0/" + name + "/weight").t();
  };
  const Tensor gate = x.matmul(matrix("gate_proj"));
  return (gate * gate.sigmoid() * x.matmul(matrix("up_proj"))).matmul(matrix("down_proj"));
}

/// Mean over the tokens of one sequence.
Tensor loss_of(const Tensor& inputs, const Tensor& targets, const Weights& w) {
  Tensor x = w.at("embedding/weight").index_select(0, inputs);
  for (int layer = 0; layer < 2; ++layer) {
    x = x + attention(norm(x, w.at("attention_norm/0/weight")), w);
    x = x + feed_forward(norm(x, w.at("feed_forward_norm/0/weight")), w);
  }
  const Tensor logits = norm(x, w.at("final_norm/weight")).matmul(w.at("head/weight").t());
  return at::nll_loss(logits.log_softmax(-1), targets);
}

/// AdamW (arXiv 1711.05101) from nothing, decay on matrices alone, after clipping. Returns the
/// norm.
double update(Weights& w) {
  double squares = 0.0;
  for (const auto& [path, value] : w) squares += value.grad().square().sum().item<double>();
  const double factor = std::min(1.0, clip / (std::sqrt(squares) + 1e-6));
  const at::NoGradGuard no_grad;
  for (auto& [path, value] : w) {
    const Tensor gradient = value.grad() * factor;
    const Tensor first = (1 - beta1) * gradient / (1 - beta1);
    const Tensor second = (1 - beta2) * gradient.square() / (1 - beta2);
    if (value.dim() > 1) value *= 1 - lr * decay;
    value -= lr * first / (second.sqrt() + 1e-8);
  }
  return std::sqrt(squares);
}

Weights random_weights(const ModelDefinition& model) {
  Weights weights;
  at::manual_seed(3);
  for (const ParameterSpec& spec : parameters(model)) {
    const Tensor noise = at::randn(spec.shape, at::kDouble) * 0.3;
    weights[spec.path()] = spec.shape.size() == 1 ? noise + 1.0 : noise;
  }
  return weights;
}

std::string save_weights(const Weights& weights, const ModelDefinition& model,
                         const std::string& file) {
  CheckpointHeader header;
  header.model = model;
  std::vector<DatasetSpec> all;
  std::vector<DatasetSlice> mine;
  for (const auto& [path, value] : weights) {
    all.push_back({all_parameters + path, value.sizes().vec(), at::kDouble});
    mine.push_back({all_parameters + path, 0, value.reshape(-1).clone()});
  }
  save_checkpoint(file, header, all, mine, Writers::alone());
  return file;
}

Config config_of(const std::string& folder) {
  Config config;
  config.model = one_block_twice().spec;
  config.data.sequence = tokens;
  config.data.shuffle = false;
  config.train.steps = 1;
  config.train.global_batch = 2;
  config.train.micro_batch = 1;
  config.train.precision = "float64";
  config.optimizer = {.rate = {.schedule = "constant", .lr = lr},
                      .adamw = {.beta1 = beta1, .beta2 = beta2, .eps = 1e-8, .weight_decay = decay},
                      .clip = clip};
  config.log.dir = folder;
  return config;
}

TEST(Step, IsWhatLibTorchComputes) {
  const TemporaryFolder folder;
  const ModelDefinition model = one_block_twice();
  std::vector<int64_t> text(2 * tokens + 1);
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<int64_t>(i * i % vocab);
  {
    IndexedDatasetWriter writer(folder.file("corpus"), vocab);
    writer.append(text);
    writer.finish();
  }
  Weights weights = random_weights(model);
  const std::string start = save_weights(weights, model, folder.file("start.h5"));

  double expected_loss = 0.0;
  for (auto& [path, value] : weights) value.requires_grad_(true);
  const Tensor all = at::tensor(text, at::kLong);
  for (const int64_t first : {int64_t{0}, tokens}) {
    const Tensor loss =
        loss_of(all.narrow(0, first, tokens), all.narrow(0, first + 1, tokens), weights) / 2;
    loss.backward();
    expected_loss += loss.item<double>();
  }
  const double expected_norm = update(weights);

  const auto host = make_mpi_world(60);
  const Config config = config_of(folder.file("run"));
  Ranks ranks(config.distributed, *host);
  const SampleSource corpus({{IndexedDataset(folder.file("corpus")), 1.0}},
                            {.sequence = tokens, .shuffle = false});
  const StopSignals signals;
  Trainer trainer({config, "", model, plan_for(config, model, 1), {corpus, {}, {}}}, ranks,
                  signals);
  trainer.begin({.model = model, .reader = std::make_shared<const CheckpointReader>(start)});
  StepMetrics seen;
  const TrainResult result =
      trainer.run({.step = [&](const StepReport& report) { seen = report.metrics; }});

  EXPECT_EQ(seen.step, 1);
  EXPECT_EQ(seen.tokens, 2 * tokens);
  EXPECT_NEAR(seen.loss, expected_loss, 1e-12);
  EXPECT_NEAR(seen.grad_norm, expected_norm, 1e-12);
  EXPECT_GT(expected_norm, clip) << "clipping is part of the step";
  const CheckpointReader saved(result.checkpoint);
  for (const auto& [path, value] : weights) {
    const Tensor found = saved.read(all_parameters + path);
    EXPECT_LT((found - value.detach()).abs().max().item<double>(), 1e-11) << path;
  }
}

}  // namespace
}  // namespace rondo
