// One step as it went, beside what the plan expected.
#pragma once

#include <string>

#include "training/run_report.h"

namespace rondo {

/// Writes <folder>/trace-<step>-<kind>.json (for Chrome or Perfetto) and the same as .svg; returns
/// the first. Throws UserError.
std::string write_step_trace(const std::string& folder, const StepTrace& trace);

}  // namespace rondo
