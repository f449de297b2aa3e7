// What a step measured, and metrics.jsonl, where every step is kept.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace rondo {

/// Bytes handed to the network in one step, summed over ranks, by kind.
struct SentBytes {
  int64_t activation = 0;
  int64_t reduce = 0;
  int64_t gather = 0;
};

/// The same of each rank, and the most memory that it has had.
struct RankMetrics {
  SentBytes sent_bytes = {};
  int64_t peak_memory_bytes = 0;
};

struct StepMetrics {
  int64_t step = 0;                       ///< from 1
  double loss = 0.0;                      ///< mean nats per target token of the global batch
  std::optional<double> divergence = {};  ///< from the teacher, in the same mean; without one: none
  double grad_norm = 0.0;                 ///< global, before clipping
  double lr = 0.0;
  int64_t tokens = 0;  ///< target tokens seen since the start of training
  double tokens_per_s = 0.0;
  double step_s = 0.0;
  SentBytes sent_bytes = {};
  std::optional<int> passes = {};              ///< over the recurring layers, where they vary
  std::vector<RankMetrics> ranks = {};         ///< by world rank; only now and then
  std::optional<double> validation_loss = {};  ///< only after a step that was evaluated
  /// Of each corpus of a blend, by name, in its order.
  std::vector<std::pair<std::string, double>> validation_losses = {};
};

/// One JSON object without a newline. Every finite number reads back bit for bit; a number that is
/// not finite becomes null, since JSON has no word for it.
std::string to_json(const StepMetrics& metrics);

/// Throws UserError where `path` is a file of something else, which metrics would be added to.
void check_metrics(const std::filesystem::path& path);

/// metrics.jsonl: one object a line, one line a step.
class MetricsFile {
 public:
  /// Opens `path` for appending and makes its folder. Lines of steps after `last_step` (those that
  /// a resumed run will do again; all of them for 0) and a torn last line are dropped first; the
  /// file is replaced by a rename, so that a crash leaves either the old or the new one. Throws
  /// UserError when the file cannot be written or holds something else.
  MetricsFile(const std::filesystem::path& path, int64_t last_step);

  /// Writes one line and flushes it. Throws UserError when the disk refuses it.
  void append(const StepMetrics& metrics);

 private:
  std::filesystem::path path_;
  std::ofstream out_;
};

}  // namespace rondo
