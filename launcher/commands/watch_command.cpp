#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <iostream>
#include <thread>

#include "base/counted.h"
#include "base/quantity.h"
#include "launcher/commands/command_line.h"
#include "launcher/commands/commands.h"
#include "launcher/reports/paint.h"
#include "launcher/reports/progress.h"
#include "launcher/reports/runs/run_folders.h"
#include "launcher/reports/runs/run_history.h"

namespace rondo {
namespace {

constexpr const char* watch_examples = R"(
Shows each run's step, loss and speed, and how its loss went; on a terminal until all have ended.

Examples:
  rondo watch runs/first
  rondo watch runs/* --once
)";

/// The last `width` values, or means of as many parts, as bars of eight heights.
std::string sparkline(const std::vector<double>& values, size_t width) {
  static constexpr std::array bars = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  if (values.empty()) return "";
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const size_t count = std::min(width, values.size());
  std::string line;
  for (size_t i = 0; i < count; ++i) {
    const size_t begin = i * values.size() / count;
    const size_t end = std::max(begin + 1, (i + 1) * values.size() / count);
    double sum = 0.0;
    for (size_t k = begin; k < end; ++k) sum += values[k];
    const double mean = sum / static_cast<double>(end - begin);
    const double share = *high > *low ? (mean - *low) / (*high - *low) : 0.0;
    line += bars[static_cast<size_t>(std::lround(share * (bars.size() - 1)))];
  }
  return line;
}

bool has_ended(const RunHistory& run) {
  return run.steps() > 0 && !run.points().empty() && run.points().back().step >= run.steps();
}

std::string in_colour(const std::string& text, Paint paint) {
  return painted(text, paint, STDOUT_FILENO);
}

std::string state_of(const RunHistory& run) {
  if (has_ended(run)) return in_colour("done", Paint::good);
  const double step_s = run.points().back().step_s;
  const double silent = run.silent_s();
  if (silent > 3.0 + 3.0 * step_s && !run.is_locked()) {
    return in_colour("not running for " + format_duration(silent), Paint::bad);
  }
  if (silent > 60.0 && silent > 10.0 * step_s) {
    return in_colour("silent for " + format_duration(silent), Paint::bad);
  }
  const auto left = static_cast<double>(run.steps() - run.points().back().step);
  return run.steps() > 0 ? "ETA " + format_duration(left * step_s) : "";
}

/// The mean, and where there are several sets each of them.
std::string held_out_of(const StepPoint& point) {
  std::string sets;
  for (const auto& [name, loss] : point.validation_losses) {
    sets += fmt::format("{}{} {:.4f}", sets.empty() ? " (" : ", ", name, loss);
  }
  return fmt::format("  held-out {:.4f}{}{}", *point.validation_loss, sets,
                     sets.empty() ? "" : ")");
}

std::string lines_of(const RunHistory& run, size_t width) {
  const std::string name = in_colour(run.folder(), Paint::bold);
  if (run.points().empty()) return fmt::format("{}  no step yet\n", name);
  const StepPoint& last = run.points().back();
  std::vector<double> losses;
  std::string held_out;
  for (const StepPoint& point : run.points()) {
    if (point.loss) losses.push_back(*point.loss);
    if (point.validation_loss) held_out = held_out_of(point);
  }
  const std::string loss =
      last.loss ? fmt::format("{:.4f}", *last.loss) : in_colour("not finite", Paint::bad);
  const std::string rewinds = run.rewinds() > 0 ? "  " + counted(run.rewinds(), "rewind") : "";
  return fmt::format("{}\n  step {}/{}  loss {}{}{}  {} tok/s  {}\n  {}\n", name, last.step,
                     run.steps(), loss, held_out, rewinds, format_si(last.tokens_per_s),
                     state_of(run), in_colour(sparkline(losses, width), Paint::quiet));
}

}  // namespace

int watch_command(const Arguments& arguments) {
  std::vector<std::string> folders;
  bool once = false;
  double interval = 1.0;
  const CommandLine line{
      "watch",
      "Shows how runs go, live.",
      {{"runs",
        &folders,
        "RUN…: folders of runs, of sweeps or of a day",
        {.required = true, .path = true}},
       {"--once", &once, "print the state once, and end"},
       {"--interval", &interval, "seconds between looks", {.shows_default = true, .least = 0.1}}},
      watch_examples};
  if (!line.parse(arguments)) return 0;
  std::vector<RunHistory> runs;
  for (const std::string& folder : run_folders(folders)) runs.emplace_back(folder);
  const int columns = terminal_width(STDOUT_FILENO);
  const bool live = columns > 0 && !once;
  const size_t width = columns > 4 ? static_cast<size_t>(columns) - 4 : 76;
  while (true) {
    std::string text;
    for (RunHistory& run : runs) {
      run.poll();
      text += lines_of(run, width);
    }
    // Back to the top, and away with what is left below.
    std::cout << (live ? "\x1b[H\x1b[2J" : "") << text << std::flush;
    if (!live || std::all_of(runs.begin(), runs.end(), has_ended)) return 0;
    std::this_thread::sleep_for(std::chrono::duration<double>(interval));
  }
}

}  // namespace rondo
