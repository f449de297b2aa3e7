// Everything a run tells: the terminal, metrics.jsonl, TensorBoard.
#pragma once

#include <optional>
#include <string>

#include "launcher/reports/metrics.h"
#include "launcher/reports/progress.h"
#include "launcher/reports/tensorboard.h"
#include "training/config.h"
#include "training/run_report.h"

namespace rondo {

class RunLog {
 public:
  /// Opens the files in `log.dir`; lines of steps after `last_step` of an earlier run are moved
  /// away. Prints a line where that happened, and where the warm-up takes the whole run. Throws
  /// UserError.
  RunLog(const Config& config, int64_t last_step);

  /// What a run calls; this must outlive it. A file that cannot be written costs a warning: the run
  /// goes on, and what is not written yet is tried again with every step.
  RunReport report();

  /// The end of the run. Throws RunError where something is still not written.
  void close();

 private:
  void open_after(int64_t last_step);
  void rewind(int64_t step);
  void add(const StepReport& report);
  std::string warning();
  void trace(const StepTrace& trace);
  void print(const std::string& line) { line_.print(line); }

  std::string folder_;
  bool tensorboard_;
  std::optional<MetricsFile> metrics_;
  std::optional<EventFile> events_;
  bool written_ = true;  ///< all that was told so far
  StatusLine line_;
  Progress progress_;
};

}  // namespace rondo
