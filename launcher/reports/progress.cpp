#include "launcher/reports/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <iostream>

namespace rondo {

std::string progress_line(const ProgressState& state) {
  const std::string mfu = state.mfu > 0 ? fmt::format("  MFU {:.1f}%", 100 * state.mfu) : "";
  return fmt::format("step {}/{}  loss {:.3f}  {} tok/s{}  grad {:.2f}  lr {:.1e}  ETA {}",
                     state.step, state.steps, state.loss, format_si(state.tokens_per_s), mfu,
                     state.grad_norm, state.lr, format_duration(state.eta_s));
}

std::string byte_bar(int64_t done, int64_t total, double seconds) {
  constexpr int cells = 20;
  constexpr double megabyte = 1e6;
  const double share =
      total > 0 ? std::min(1.0, static_cast<double>(done) / static_cast<double>(total)) : 1.0;
  const int filled = static_cast<int>(share * cells);
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0.0;
  const double left = share < 1 ? static_cast<double>(total - done) / rate : 0.0;
  return fmt::format("[{:#<{}}{:-<{}}] {:3.0f}%  {:.1f}/{:.1f} MB  {:.1f} MB/s  {}", "", filled, "",
                     cells - filled, std::floor(100 * share), static_cast<double>(done) / megabyte,
                     static_cast<double>(total) / megabyte, rate / megabyte,
                     share < 1 ? "ETA " + format_duration(left) : "in " + format_duration(seconds));
}

int terminal_width(int descriptor) {
  winsize size{};
  return ioctl(descriptor, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

StatusLine::StatusLine(std::ostream& out, int width) : out_(out), width_(width) {}

void StatusLine::rewrite(std::string_view text) {
  if (on_terminal()) {
    // The last column stays free, since writing there wraps on some terminals.
    out_ << '\r' << text.substr(0, static_cast<size_t>(width_ - 1)) << "\x1b[K" << std::flush;
  }
}

void StatusLine::print(std::string_view text) {
  out_ << (on_terminal() ? "\r" : "") << text << (on_terminal() ? "\x1b[K\n" : "\n") << std::flush;
}

std::function<void(const std::string&)> status_of_first(int rank) {
  StatusLine line(std::cerr, rank == 0 ? terminal_width(STDERR_FILENO) : 0);
  return [line](const std::string& text) mutable { line.rewrite(text); };
}

Progress::Progress(StatusLine line, int64_t steps, int64_t every)
    : line_(line), steps_(steps), every_(std::max<int64_t>(every, 1)) {}

std::string Progress::line(const StepReport& report) const {
  const StepMetrics& metrics = report.metrics;
  return progress_line({.step = metrics.step,
                        .steps = steps_,
                        .loss = metrics.loss,
                        .tokens_per_s = metrics.tokens_per_s,
                        .mfu = report.mfu,
                        .grad_norm = metrics.grad_norm,
                        .lr = metrics.lr,
                        .eta_s = report.eta_s});
}

void Progress::show(const StepReport& report) {
  const int64_t step = report.metrics.step;
  const bool in_log = !line_.on_terminal() && (step == 1 || step % every_ == 0);
  if (step == steps_ || in_log) {
    line_.print(line(report));
  } else {
    line_.rewrite(line(report));
  }
}

ByteProgress::ByteProgress(StatusLine line, int64_t total) : line_(line), total_(total) {}

void ByteProgress::show(int64_t done) {
  constexpr std::chrono::milliseconds pause(100);
  const auto now = Clock::now();
  const std::string text =
      byte_bar(done, total_, std::chrono::duration<double>(now - start_).count());
  if (done >= total_) {
    line_.print(text);
  } else if (now - shown_ >= pause) {
    line_.rewrite(text);
    shown_ = now;
  }
}

}  // namespace rondo
