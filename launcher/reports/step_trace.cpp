#include "launcher/reports/step_trace.h"

#include <fmt/format.h>

#include "base/partial_file.h"
#include "launcher/reports/timeline.h"

namespace rondo {

std::string write_step_trace(const std::string& folder, const StepTrace& trace) {
  const std::string stem = fmt::format("{}/trace-{:08}-{}", folder, trace.step, trace.kind);
  const Timeline timeline{.placement = trace.placement,
                          .ranks = trace.ranks,
                          .update_s = trace.update_s,
                          .title = fmt::format("step {}, {}", trace.step, trace.kind)};
  write_whole(stem + ".json", timeline_trace(timeline));
  write_whole(stem + ".svg", timeline_svg(timeline));
  return stem + ".json";
}

}  // namespace rondo
