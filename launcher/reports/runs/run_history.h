// What a run has left in its folder so far.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace rondo {

/// A line of metrics.jsonl, as far as people look at it; see StepMetrics.
struct StepPoint {
  int64_t step = 0;
  std::optional<double> loss = {};  ///< none where it was not finite
  std::optional<double> grad_norm = {};
  std::optional<double> validation_loss = {};
  std::map<std::string, double> validation_losses = {};  ///< by set, where there are several
  bool skipped = false;                                  ///< its gradient was not finite
  int64_t rewinds = 0;                                   ///< before it, since the run was started
  double lr = 0.0;
  double tokens_per_s = 0.0;
  double step_s = 0.0;
  std::map<std::string, double> sent_bytes = {};
  double peak_memory_bytes = 0.0;                      ///< of the rank with the most; now and then
  std::map<std::string, double> phases = {};           ///< now and then
  std::map<std::string, double> component_norms = {};  ///< likewise
  /// Of each pass, by name: norm, adds, cosine, loss; likewise.
  std::vector<std::map<std::string, double>> per_pass = {};
};

/// A run that may still be under way.
class RunHistory {
 public:
  /// `folder` has a metrics.jsonl: see run_folders. Throws UserError as `poll` does.
  explicit RunHistory(std::string folder);

  /// Reads what has come since; a line that is still being written waits. A log that was rewritten,
  /// as by a rewind, is read anew. Throws UserError for lines that are none of metrics.
  void poll();

  const std::string& folder() const { return folder_; }
  const std::vector<StepPoint>& points() const { return points_; }
  const std::map<std::string, std::string>& config() const { return config_; }  ///< key → literal
  int64_t steps() const { return steps_; }  ///< train.steps; 0 where it is not known
  int64_t rewinds() const;                  ///< of all starts of the run
  /// Seconds since the log was last written.
  double silent_s() const;
  /// Whether a process writes into the folder. False, too, on a file system without locks.
  bool is_locked() const;

 private:
  std::string folder_;
  std::map<std::string, std::string> config_;
  std::vector<StepPoint> points_;
  int64_t steps_ = 0;
  int64_t read_ = 0;  ///< bytes
  int64_t file_ = 0;  ///< inode
};

}  // namespace rondo
