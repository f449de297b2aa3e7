#include "launcher/reports/step_trace.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/partial_file.h"

namespace rondo {
namespace {

/// Numbers of one action on the wire: operation, chunk, microbatch, start, end.
constexpr int64_t fields = 5;

int64_t longest(int64_t count, Communicator& world) {
  std::vector<int64_t> counts(static_cast<size_t>(world.size()), 0);
  counts[static_cast<size_t>(world.rank())] = count;
  world.all_reduce_sum({counts.data(), world.size(), ElementType::int64});
  return *std::max_element(counts.begin(), counts.end());
}

}  // namespace

std::vector<std::vector<TimedAction>> gather_timelines(const std::vector<TimedAction>& mine,
                                                       Communicator& world) {
  const int64_t most = longest(static_cast<int64_t>(mine.size()), world);
  const int64_t part = (most + 1) * fields;  // behind the actions, one row of −1
  std::vector<double> all(static_cast<size_t>(part * world.size()), -1.0);
  double* own = all.data() + part * world.rank();
  for (const auto& [action, start, end] : mine) {
    const double row[fields] = {static_cast<double>(action.op), static_cast<double>(action.chunk),
                                static_cast<double>(action.microbatch), start, end};
    own = std::copy(std::begin(row), std::end(row), own);
  }
  world.all_gather({all.data(), static_cast<int64_t>(all.size()), ElementType::float64});
  std::vector<std::vector<TimedAction>> lists;
  for (int rank = 0; world.rank() == 0 && rank < world.size(); ++rank) {
    lists.emplace_back();
    for (const double* row = all.data() + part * rank; row[0] >= 0.0; row += fields) {
      const Action action{static_cast<Op>(static_cast<int>(row[0])), static_cast<int>(row[1]),
                          static_cast<int>(row[2])};
      lists.back().push_back({action, row[3], row[4]});
    }
  }
  return lists;
}

std::string write_step_trace(const std::string& folder, int64_t step, const std::string& kind,
                             Timeline timeline) {
  const std::string stem = fmt::format("{}/trace-{:08}-{}", folder, step, kind);
  timeline.title = fmt::format("step {}, {}", step, kind);
  write_whole(stem + ".json", timeline_trace(timeline));
  write_whole(stem + ".svg", timeline_svg(timeline));
  return stem + ".json";
}

std::string compare_step_time(double predicted_s, std::vector<double> measured_s) {
  const auto middle = measured_s.begin() + static_cast<std::ptrdiff_t>(measured_s.size() / 2);
  std::nth_element(measured_s.begin(), middle, measured_s.end());
  return fmt::format("predicted {:.4g} ms a step, measured {:.4g} (median of {}): {:+.0f} %",
                     1e3 * predicted_s, 1e3 * *middle, measured_s.size(),
                     100.0 * (predicted_s / *middle - 1.0));
}

}  // namespace rondo
