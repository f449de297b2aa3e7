#include "training/control/straggler.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace rondo {
namespace {

constexpr std::array own_work = {Phase::data, Phase::forward, Phase::backward, Phase::optimizer,
                                 Phase::other};

double own_seconds(const RankMetrics& rank) {
  double sum = 0.0;
  for (const Phase phase : own_work) sum += rank.phases[phase];
  return sum;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// The other ranks with the same work.
std::vector<int> likes_of(int rank, const WorldLayout& layout) {
  std::vector<int> likes;
  for (int other = 0; other < layout.pipeline * layout.replicas; ++other) {
    const bool same =
        layout.replicas == 1 || layout.pipeline_rank(other) == layout.pipeline_rank(rank);
    if (other != rank && same) likes.push_back(other);
  }
  return likes;
}

}  // namespace

std::optional<Straggler> find_straggler(const std::vector<RankMetrics>& ranks,
                                        const WorldLayout& layout) {
  constexpr double factor = 1.5;
  constexpr double least_loss = 0.2;  // of a step
  constexpr double least_s = 0.02;    // what a machine does beside it costs as much
  std::optional<Straggler> found;
  double furthest = factor;
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    const std::vector<int> likes = likes_of(static_cast<int>(rank), layout);
    if (likes.empty()) continue;
    const auto usual = [&](auto seconds_of) {
      std::vector<double> values;
      for (const int like : likes) values.push_back(seconds_of(ranks[like]));
      return median(values);
    };
    const double own = own_seconds(ranks[rank]);
    const double others = usual(own_seconds);
    const double behind = own / std::max(1e-9, others);
    const double least = std::max(least_s, least_loss * ranks[rank].phases.sum());
    if (behind < furthest || own - others < least) continue;
    furthest = behind;
    found = Straggler{static_cast<int>(rank)};
    double most = 0.0;
    for (const Phase phase : own_work) {
      const double in_phase = ranks[rank].phases[phase];
      const double of_others =
          usual([phase](const RankMetrics& other) { return other.phases[phase]; });
      if (in_phase - of_others <= most) continue;
      most = in_phase - of_others;
      *found = {static_cast<int>(rank), phase, in_phase, of_others};
    }
  }
  return found;
}

std::string describe(const Straggler& straggler) {
  return fmt::format("rank {} is slow: {:.3g} s a step in the phase {}, its likes {:.3g} s",
                     straggler.rank, straggler.seconds,
                     phase_names[static_cast<size_t>(straggler.phase)], straggler.usual_s);
}

}  // namespace rondo
