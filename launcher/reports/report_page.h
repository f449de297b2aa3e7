// A page that shows runs: one file, without a network.
#pragma once

#include <string>
#include <vector>

#include "launcher/reports/runs/run_history.h"

namespace rondo {

/// One run of a page.
struct ReportedRun {
  std::string name;
  RunHistory history;
};

/// HTML with everything in it: losses, rates, norms of components, passes, bytes, phases, the
/// sharing map, timelines that lie in the run's folder, and the keys in which the runs differ.
std::string report_page(const std::vector<ReportedRun>& runs);

}  // namespace rondo
