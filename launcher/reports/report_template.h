// The page that a report is put into: report_page.html, which is a part of the program.
#pragma once

namespace rondo {

/// With {{DATA}} where the runs go, as JSON.
extern const char* const report_template;

}  // namespace rondo
