// metrics.jsonl, where every step is kept.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/append_file.h"
#include "training/step_metrics.h"

namespace rondo {

/// One JSON object without a newline. Every finite number reads back bit for bit; a number that is
/// not finite becomes null, since JSON has no word for it.
std::string to_json(const StepMetrics& metrics);

/// Throws UserError where `path` is a file of something else, which metrics would be added to.
void check_metrics(const std::filesystem::path& path);

/// metrics.jsonl: one object a line, one line a step.
class MetricsFile {
 public:
  /// Opens `path` for appending and makes its folder. Lines of steps after `last_step` (those that
  /// a resumed run will do again; all of them for 0) and a torn last line are moved to
  /// metrics.dropped.jsonl beside it first; the file is replaced by a rename, so that a crash
  /// leaves either the old or the new one. Throws UserError when a file cannot be written or holds
  /// something else.
  MetricsFile(const std::filesystem::path& path, int64_t last_step);

  /// Adds one line. Returns whether all lines so far are with the system; see AppendFile.
  bool append(const StepMetrics& metrics) { return out_.append(to_json(metrics) + '\n'); }

  /// Lines that were moved away.
  int64_t dropped() const { return dropped_; }
  AppendFile& file() { return out_; }

 private:
  int64_t dropped_;
  AppendFile out_;
};

}  // namespace rondo
