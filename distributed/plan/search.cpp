#include "distributed/plan/search.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>
#include <string>
#include <tuple>
#include <utility>

namespace rondo {
namespace {

/// Times within this factor are equal: no prediction is that good, and copies cost memory for sure.
constexpr float as_fast = 1.02F;

/// Seven digits, so that the last bits of a sum do not decide.
float digits(double seconds) { return static_cast<float>(seconds); }

/// What a winner has least of: copies, then time. Equal ones go by their place in the list.
using Standing = std::tuple<int, float, size_t>;

/// Simulates candidates of one list, each once.
class Search {
 public:
  Search(const CostModels& models, std::vector<Candidate>& list) : models_(models), list_(list) {
    for (const Candidate& candidate : list) bounds_.push_back(digits(candidate.bound_s));
  }

  /// The time of the fastest. In the order of their bounds, until the bound alone is no less; and
  /// the first of every pipeline and route.
  float fastest() {
    std::set<std::pair<int, std::string>> seen;
    float best = std::numeric_limits<float>::infinity();
    for (size_t i : sorted([this](size_t c) { return std::pair(bounds_[c], c); })) {
      const Candidate& candidate = list_[i];
      if (!candidate.fits) continue;
      const int pipeline = candidate.choice.placement.pipeline;
      const bool first = seen.insert({pipeline, candidate.route}).second;
      if (bounds_[i] < best || first) best = std::min(best, simulated(i));
    }
    return best;
  }

  /// Fewest copies first, then fastest, of those that are as fast as the fastest.
  const Candidate* winner(float fastest) {
    const float slowest = as_fast * fastest;
    const Candidate* best = nullptr;
    Standing least;
    for (size_t i : sorted([this](size_t c) { return Standing(list_[c].copies, bounds_[c], c); })) {
      if (!list_[i].fits || bounds_[i] > slowest) continue;
      if (best != nullptr && Standing(list_[i].copies, bounds_[i], i) > least) continue;
      const Standing standing(list_[i].copies, simulated(i), i);
      if (std::get<float>(standing) > slowest || (best != nullptr && standing > least)) continue;
      best = &list_[i];
      least = standing;
    }
    return best;
  }

 private:
  template <typename Key>
  std::vector<size_t> sorted(Key key) const {
    std::vector<size_t> order(list_.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return key(a) < key(b); });
    return order;
  }

  /// The time of a step; infinite if it turns out not to fit.
  float simulated(size_t i) {
    Candidate& candidate = list_[i];
    if (!candidate.simulated) simulate_candidate(models_.of(candidate.choice), candidate);
    return candidate.fits ? digits(candidate.step_s) : std::numeric_limits<float>::infinity();
  }

  const CostModels& models_;
  std::vector<Candidate>& list_;
  std::vector<float> bounds_;
};

}  // namespace

const Candidate* search(const CostModels& models, std::vector<Candidate>& list) {
  Search search(models, list);
  return search.winner(search.fastest());
}

}  // namespace rondo
