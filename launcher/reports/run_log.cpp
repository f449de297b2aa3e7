#include "launcher/reports/run_log.h"

#include <fmt/format.h>
#include <unistd.h>

#include <iostream>

#include "base/run_error.h"
#include "base/user_error.h"
#include "launcher/config/config.h"
#include "launcher/reports/map_picture.h"
#include "launcher/reports/step_trace.h"

namespace rondo {
namespace {

/// What TensorBoard shows of a step.
std::vector<Scalar> scalars_of(const StepReport& report) {
  const StepMetrics& metrics = report.metrics;
  std::vector<Scalar> scalars = {
      {"train/loss", metrics.loss},
      {"train/grad_norm", metrics.grad_norm},
      {"train/lr", metrics.lr},
      {"speed/tokens_per_s", metrics.tokens_per_s},
      {"speed/mfu", report.mfu},
      {"sent_bytes/activation", static_cast<double>(metrics.sent_bytes.activation)},
      {"sent_bytes/reduce", static_cast<double>(metrics.sent_bytes.reduce)},
      {"sent_bytes/gather", static_cast<double>(metrics.sent_bytes.gather)}};
  for (size_t i = 0; !metrics.ranks.empty() && i < phase_names.size(); ++i) {
    scalars.push_back({fmt::format("phases/{}", phase_names[i]), mean_phases(metrics.ranks).of[i]});
  }
  if (metrics.divergence) scalars.push_back({"train/divergence", *metrics.divergence});
  if (metrics.batch) scalars.push_back({"train/batch", static_cast<double>(*metrics.batch)});
  if (metrics.passes) scalars.push_back({"train/passes", static_cast<double>(*metrics.passes)});
  if (metrics.validation_loss) scalars.push_back({"validation/loss", *metrics.validation_loss});
  for (const auto& [name, loss] : metrics.validation_losses) {
    scalars.push_back({"validation/loss/" + name, loss});
  }
  for (const auto& [component, norm] : metrics.component_norms) {
    scalars.push_back({"grad_norm/" + component, norm});
  }
  for (size_t pass = 0; pass < metrics.per_pass.size(); ++pass) {
    const PassMetrics& own = metrics.per_pass[pass];
    const auto add = [&](const char* name, std::optional<double> value) {
      if (value) scalars.push_back({fmt::format("pass_{}/{}", pass + 1, name), *value});
    };
    add("norm", own.norm);
    add("adds", own.adds);
    add("cosine", own.cosine);
    add("loss", own.loss);
  }
  return scalars;
}

}  // namespace

RunLog::RunLog(const Config& config, const ModelDefinition& model, int64_t last_step,
               std::ostream* json)
    : folder_(config.log.dir),
      tensorboard_(config.log.tensorboard),
      console_(config.log.dir + "/console.log"),
      json_(json),
      every_(config.log.every),
      steps_(config.train.steps),
      line_(std::cout, terminal_width(STDOUT_FILENO)),
      progress_(line_, config.train.steps, config.log.every) {
  open_after(last_step);
  if (events_) describe(config, model);
  const int64_t warmup = config.optimizer.rate.warmup;
  if (warmup >= config.train.steps) {
    print(fmt::format(
        "optimizer.warmup = {} is not below train.steps = {}: the rate rises to the end "
        "and never follows optimizer.schedule; lower it",
        warmup, config.train.steps));
  }
}

/// For TensorBoard: the config, and the map in letters and colours.
void RunLog::describe(const Config& config, const ModelDefinition& model) {
  events_->add_text(0, "config", fmt::format("```toml\n{}```", to_toml(config)));
  events_->add_text(0, "sharing map", fmt::format("```\n{}```", draw(model.sharing)));
  const auto [width, height] = map_png_size(model.sharing);
  events_->add_image(0, "sharing map", {map_png(model.sharing), width, height});
}

void RunLog::print(const std::string& line) {
  line_.print(line);
  console_.append(line + "\n");
}

void RunLog::tell(const std::string& lines) {
  std::cout << lines << std::flush;
  console_.append(lines);
}

void RunLog::open_after(int64_t last_step) {
  metrics_.emplace(folder_ + "/metrics.jsonl", last_step);
  if (metrics_->dropped() > 0) {
    print(fmt::format("{} lines of metrics.jsonl after step {} moved to metrics.dropped.jsonl",
                      metrics_->dropped(), last_step));
  }
  if (tensorboard_) events_.emplace(folder_ + "/tensorboard", last_step + 1);
}

void RunLog::rewind(int64_t step) {
  try {
    open_after(step);
  } catch (const UserError& error) {
    print(fmt::format("warning: {}; the log keeps the lines of the steps after {}", error.what(),
                      step));
  }
}

RunReport RunLog::report() {
  return {.step = [this](const StepReport& report) { add(report); },
          .line = [this](const std::string& line) { print(line); },
          .rewound = [this](int64_t step) { rewind(step); },
          .trace = [this](const StepTrace& step) { trace(step); }};
}

void RunLog::add(const StepReport& report) {
  const StepMetrics& metrics = report.metrics;
  bool written = metrics_->append(metrics);
  progress_.show(report);
  if (metrics.step == 1 || metrics.step % every_ == 0 || metrics.step == steps_) {
    console_.append(progress_.line(report) + "\n");
  }
  if (json_ != nullptr) *json_ << to_json(metrics) << "\n" << std::flush;
  if (events_) written = events_->add(metrics.step, scalars_of(report)) && written;
  if (written != written_) print(written ? "the log is written again, without a gap" : warning());
  written_ = written;
}

/// Of the file that could not be written.
std::string RunLog::warning() {
  const AppendFile& file =
      metrics_->file().reason().empty() && events_ ? events_->file() : metrics_->file();
  return fmt::format(
      "warning: cannot write {}: {}; the run goes on, and tries again with every step", file.path(),
      file.reason());
}

void RunLog::trace(const StepTrace& trace) {
  try {
    const std::string file = write_step_trace(folder_, trace);
    print(fmt::format("timeline of step {} in {} and beside it as .svg", trace.step, file));
  } catch (const UserError& error) {
    print(fmt::format("warning: {}; the run goes on without that timeline", error.what()));
  }
}

void RunLog::close() {
  const bool metrics_written = metrics_->file().flush();
  const bool events_written = !events_ || events_->file().flush();
  if (metrics_written && events_written) return;
  const AppendFile& file = metrics_written ? events_->file() : metrics_->file();
  throw RunError(fmt::format("the run has ended and is saved, but {} lacks its last lines: {}",
                             file.path(), file.reason()));
}

}  // namespace rondo
