// What a step measured.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "distributed/comm/sent_bytes.h"
#include "distributed/phase_clock.h"

namespace rondo {

/// What one rank sent in a step, the most memory that it has had, and what it spends a step on:
/// the mean since it was last told.
struct RankMetrics {
  SentBytes sent_bytes = {};
  int64_t peak_memory_bytes = 0;
  PhaseSeconds phases = {};
};

/// Of all ranks.
inline PhaseSeconds mean_phases(const std::vector<RankMetrics>& ranks) {
  PhaseSeconds mean;
  for (const RankMetrics& rank : ranks) mean += rank.phases / static_cast<double>(ranks.size());
  return mean;
}

/// What one pass over the recurring layers does to the stream: over some tokens of the step.
struct PassMetrics {
  double norm = 0.0;                  ///< of a token's state after it
  double adds = 0.0;                  ///< ‖after − before‖ / ‖before‖
  std::optional<double> cosine = {};  ///< between what it and the pass before it add
  std::optional<double> loss = {};    ///< that the head would give of the state after it
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
  bool skipped = false;               ///< nothing was updated: a number was not finite
  int64_t rewinds = 0;                ///< before it, since the run was started
  std::optional<int64_t> batch = {};  ///< sequences, where they vary
  std::optional<int> passes = {};     ///< over the recurring layers, where they vary
  /// Of the gradient before clipping, by component; only now and then.
  std::vector<std::pair<std::string, double>> component_norms = {};
  std::vector<PassMetrics> per_pass = {};      ///< only now and then
  std::vector<RankMetrics> ranks = {};         ///< by world rank; only now and then
  std::optional<double> validation_loss = {};  ///< only after a step that was evaluated
  /// Of each corpus of a blend, by name, in its order.
  std::vector<std::pair<std::string, double>> validation_losses = {};
};

}  // namespace rondo
