// Everything a run tells: the terminal, metrics.jsonl, TensorBoard.
#pragma once

#include <optional>
#include <string>

#include "launcher/config/config.h"
#include "launcher/reports/metrics.h"
#include "launcher/reports/progress.h"
#include "launcher/reports/tensorboard.h"

namespace rondo {

class RunLog {
 public:
  /// Opens the files in `log.dir`; steps after `last_step` of an earlier run are dropped from them.
  /// Says so when the warm-up takes the whole run.
  RunLog(const Config& config, int64_t last_step);

  /// `mfu` = fraction of the devices' peak, by executed layers.
  void add(const StepMetrics& metrics, double mfu);

  /// A line of its own between the progress lines.
  void say(const std::string& line);

 private:
  MetricsFile metrics_;
  std::optional<EventFile> events_;
  StatusLine line_;
  Progress progress_;
};

}  // namespace rondo
