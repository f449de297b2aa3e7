// `rondo plan --sweep`: plans on paper, to thousands of ranks.
#pragma once

#include <functional>
#include <string>

#include "distributed/plan/candidates.h"
#include "launcher/reports/sweep_report.h"

namespace rondo {

/// Plans `request` for every power of two of ranks from one node to `request.world`, shared as it
/// is and unshared, with `sequences` a rank; and finds, for a quarter, all and four times as many
/// sequences, the link at which a pipeline begins to win. `show` takes a line of progress.
Sweep sweep_plans(const PlanRequest& request, int sequences,
                  const std::function<void(const std::string&)>& show);

}  // namespace rondo
