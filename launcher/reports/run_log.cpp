#include "launcher/reports/run_log.h"

#include <fmt/format.h>
#include <unistd.h>

#include <iostream>

namespace rondo {

RunLog::RunLog(const Config& config, int64_t last_step)
    : metrics_(config.log.dir + "/metrics.jsonl", last_step),
      line_(std::cout, terminal_width(STDOUT_FILENO)),
      progress_(line_, config.train.steps, config.log.every) {
  if (config.log.tensorboard) events_.emplace(config.log.dir + "/tensorboard", last_step + 1);
  const int64_t warmup = config.optimizer.rate.warmup;
  if (warmup >= config.train.steps) {
    say(fmt::format(
        "optimizer.warmup = {} is not below train.steps = {}: the rate rises to the end "
        "and never follows optimizer.schedule; lower it",
        warmup, config.train.steps));
  }
}

void RunLog::add(const StepMetrics& metrics, double mfu) {
  metrics_.append(metrics);
  progress_.show(metrics, mfu);
  if (!events_) return;
  std::vector<Scalar> scalars = {
      {"train/loss", metrics.loss},
      {"train/grad_norm", metrics.grad_norm},
      {"train/lr", metrics.lr},
      {"speed/tokens_per_s", metrics.tokens_per_s},
      {"speed/mfu", mfu},
      {"sent_bytes/activation", static_cast<double>(metrics.sent_bytes.activation)},
      {"sent_bytes/reduce", static_cast<double>(metrics.sent_bytes.reduce)},
      {"sent_bytes/gather", static_cast<double>(metrics.sent_bytes.gather)}};
  if (metrics.divergence) scalars.push_back({"train/divergence", *metrics.divergence});
  if (metrics.passes) scalars.push_back({"train/passes", static_cast<double>(*metrics.passes)});
  if (metrics.validation_loss) scalars.push_back({"validation/loss", *metrics.validation_loss});
  for (const auto& [name, loss] : metrics.validation_losses) {
    scalars.push_back({"validation/loss/" + name, loss});
  }
  events_->add(metrics.step, scalars);
}

void RunLog::say(const std::string& line) { line_.print(line); }

}  // namespace rondo
