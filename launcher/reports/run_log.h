// Everything a run tells: the terminal, metrics.jsonl, TensorBoard.
#pragma once

#include <iosfwd>
#include <optional>
#include <string>

#include "base/append_file.h"
#include "launcher/reports/metrics.h"
#include "launcher/reports/progress.h"
#include "launcher/reports/tensorboard.h"
#include "model/definition/model_definition.h"
#include "training/config.h"
#include "training/run_report.h"

namespace rondo {

class RunLog {
 public:
  /// Opens the files in `log.dir`; lines of steps after `last_step` of an earlier run are moved
  /// away. Prints a line where that happened, and where the warm-up takes the whole run. `json`
  /// takes what metrics.jsonl takes; null: nothing does. Throws UserError.
  RunLog(const Config& config, const ModelDefinition& model, int64_t last_step, std::ostream* json);

  /// Lines of the terminal that console.log keeps, too.
  void tell(const std::string& lines);

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
  void print(const std::string& line);
  void describe(const Config& config, const ModelDefinition& model);

  std::string folder_;
  bool tensorboard_;
  std::optional<MetricsFile> metrics_;
  std::optional<EventFile> events_;
  bool written_ = true;  ///< all that was told so far
  AppendFile console_;
  std::ostream* json_;
  int64_t every_;  ///< steps between the lines of console.log
  int64_t steps_;
  StatusLine line_;
  Progress progress_;
};

}  // namespace rondo
