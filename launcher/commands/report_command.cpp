#include <fmt/format.h>

#include <filesystem>
#include <iostream>
#include <set>

#include "base/output_path.h"
#include "base/partial_file.h"
#include "base/user_error.h"
#include "launcher/commands/command_line.h"
#include "launcher/commands/commands.h"
#include "launcher/reports/report_page.h"
#include "launcher/reports/runs/run_folders.h"

namespace rondo {
namespace {

constexpr const char* report_examples = R"(
Writes one HTML file without a network: losses, rates, gradient norms of components, what each pass
does, bytes, phases, timelines, the sharing map, and the keys in which the runs differ.

Examples:
  rondo report runs/first --output first.html
  rondo report runs/* --output all.html
)";

/// The ends of the paths, as much of them as tells the runs apart.
std::vector<std::string> names_of(const std::vector<std::string>& folders) {
  std::vector<std::string> names;
  for (const std::string& folder : folders) {
    const std::filesystem::path path = std::filesystem::path(folder).lexically_normal();
    names.push_back(
        (path.has_filename() ? path.filename() : path.parent_path().filename()).string());
  }
  const bool distinct = std::set<std::string>(names.begin(), names.end()).size() == names.size();
  return distinct ? names : folders;
}

}  // namespace

int report_command(const Arguments& arguments) {
  std::vector<std::string> words;
  std::string output = "report.html";
  const CommandLine line{
      "report",
      "Makes a page of one or several runs.",
      {{"runs",
        &words,
        "RUN…: folders of runs, of sweeps or of a day",
        {.required = true, .path = true}},
       {"--output", &output, "FILE.html", {.shows_default = true, .path = true}}},
      report_examples};
  if (!line.parse(arguments)) return 0;
  check_output_path("--output", output, ".html");
  const std::vector<std::string> folders = run_folders(words);
  const std::vector<std::string> names = names_of(folders);
  std::vector<ReportedRun> runs;
  for (size_t i = 0; i < folders.size(); ++i) {
    runs.push_back({names[i], RunHistory(folders[i])});
    if (runs.back().history.points().empty()) {
      throw UserError(fmt::format("{} has no step yet; come back when it has", folders[i]));
    }
  }
  write_whole(output, report_page(runs));
  std::cout << fmt::format("wrote {}\n", output);
  return 0;
}

}  // namespace rondo
