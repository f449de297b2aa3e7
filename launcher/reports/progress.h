// What a person sees while a program runs: one line that is rewritten, or plain lines in a log.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <string_view>

#include "base/quantity.h"
#include "training/run_report.h"

namespace rondo {

struct ProgressState {
  int64_t step = 0;
  int64_t steps = 0;
  double loss = 0.0;
  double tokens_per_s = 0.0;
  double mfu = 0.0;  ///< fraction of the peak, by executed layers; 0 = unknown, not shown
  double grad_norm = 0.0;
  double lr = 0.0;
  double eta_s = 0.0;
};

/// "step 120/400  loss 1.234  8.5k tok/s  MFU 31.2%  grad 0.83  lr 3.0e-04  ETA 1m 40s"
std::string progress_line(const ProgressState& state);

/// "[##########----------]  50%  2.0/4.0 MB  1.0 MB/s  ETA 2s"
std::string byte_bar(int64_t done, int64_t total, double seconds);

/// Columns of the terminal of a file descriptor; 0 when there is none. isatty would not do: a
/// rank under mpirun always has a pseudo-terminal, whose width is that of mpirun's own terminal, or
/// 0 when mpirun writes to a file.
int terminal_width(int descriptor);

/// A line of the terminal that is rewritten in place and never wraps.
class StatusLine {
 public:
  /// `out` is not owned. `width` = 0: no terminal; `rewrite` then shows nothing.
  StatusLine(std::ostream& out, int width);

  void rewrite(std::string_view text);
  /// Leaves `text` behind as a line of its own.
  void print(std::string_view text);
  bool on_terminal() const { return width_ > 0; }

 private:
  std::ostream& out_;
  int width_;
};

/// Shows a line of progress in place of the one before: on stderr, on the first rank of a job.
std::function<void(const std::string&)> status_of_first(int rank);

/// The progress of a training run.
class Progress {
 public:
  /// `every` = steps between the lines of a log; a terminal shows every step.
  Progress(StatusLine line, int64_t steps, int64_t every);

  /// Shows a finished step.
  void show(const StepReport& report);

  /// What it shows.
  std::string line(const StepReport& report) const;

 private:
  StatusLine line_;
  int64_t steps_;
  int64_t every_;
};

/// The progress of work that is counted in bytes.
class ByteProgress {
 public:
  ByteProgress(StatusLine line, int64_t total);

  /// On a terminal at most ten times a second; in a log only when all is done.
  void show(int64_t done);

 private:
  using Clock = std::chrono::steady_clock;

  StatusLine line_;
  int64_t total_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point shown_ = start_;
};

}  // namespace rondo
