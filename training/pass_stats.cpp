#include "training/pass_stats.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

namespace rondo {
namespace {

using at::Tensor;

constexpr int64_t most_rows = 256;  // of the stream that are looked at

/// The states before the first pass and after each, [passes + 1, rows, hidden] float32, of which
/// this rank fills in those that it sees.
Tensor states_here(LocalModel& model, StreamProbe& probe, const MicrobatchSource& source,
                   const Recurrence& loop) {
  const int64_t rows = std::min(most_rows, source.rows(0));
  const int64_t hidden = model.model().spec.hidden;
  const auto branches = static_cast<int>(model.model().branches.size());
  Tensor states =
      at::zeros({loop.passes + 1, rows, hidden}, at::dtype(at::kFloat).device(model.device()));
  const auto keep = [&](int state, const Tensor& x) { states[state].copy_(x.narrow(0, 0, rows)); };
  const auto look = [&](const HalfSeen& seen) {
    const int inside = seen.place.layer - loop.prelude;
    if (inside < 0 || inside >= loop.passes * loop.period) return;
    if (inside == 0 && seen.place.branch == 0) keep(0, seen.before.x);
    const bool ends = inside % loop.period == loop.period - 1 && seen.place.branch == branches - 1;
    if (ends) keep(inside / loop.period + 1, seen.after.x);
  };
  probe.during([&] { model.evaluate(source, 1); }, look);
  return states;
}

double norm_of(const Tensor& x) { return x.norm().item<double>(); }

}  // namespace

std::vector<PassMetrics> look_at_passes(LocalModel& model, StreamProbe& probe,
                                        const MicrobatchSource& source, const Recurrence& loop,
                                        bool with_losses) {
  const Tensor states = states_here(model, probe, source, loop);
  model.sum_over_pipeline(states);
  Tensor losses = at::zeros({loop.passes}, at::dtype(at::kDouble).device(model.device()));
  const Stage* head = with_losses ? model.head_stage() : nullptr;
  if (head != nullptr) {
    const Tensor targets = source.load(0).targets.narrow(0, 0, states.size(1));
    for (int pass = 0; pass < loop.passes; ++pass) {
      losses[pass] =
          head->loss_of(states[pass + 1], targets) / static_cast<double>(targets.numel());
    }
  }
  if (with_losses) model.sum_over_pipeline(losses);
  std::vector<PassMetrics> passes;
  Tensor added_before;
  for (int pass = 0; pass < loop.passes; ++pass) {
    const Tensor before = states[pass];
    const Tensor after = states[pass + 1];
    const Tensor added = after - before;
    PassMetrics metrics{.norm = norm_of(after) / std::sqrt(static_cast<double>(after.size(0))),
                        .adds = norm_of(added) / norm_of(before)};
    if (pass > 0) {
      metrics.cosine =
          (added * added_before).sum().item<double>() / (norm_of(added) * norm_of(added_before));
    }
    if (with_losses) metrics.loss = losses[pass].item<double>();
    passes.push_back(metrics);
    added_before = added;
  }
  return passes;
}

}  // namespace rondo
