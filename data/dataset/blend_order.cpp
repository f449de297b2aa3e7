#include "data/dataset/blend_order.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

namespace rondo {
namespace {

constexpr size_t most_recent = size_t{1} << 18;

/// Turns: more than any run has, and a number of int64_t.
constexpr double longest_turn = 1e18;

/// Weights are rounded numbers: what lies so close to a whole turn is meant to be one.
double tolerance(double turn) { return 1e-9 + 1e-14 * turn; }

}  // namespace

BlendOrder::BlendOrder(const std::vector<double>& weights) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (const double weight : weights) {
    turns_per_use_.push_back(std::min(sum / weight, longest_turn));
  }
  start_.uses.assign(weights.size(), 0);
  go_to(start_);
}

void BlendOrder::go_to(const State& state) {
  now_ = state;
  recent_.clear();
  slots_.clear();
  for (size_t i = 0; i < turns_per_use_.size(); ++i) slots_.push_back(slot(i));
}

BlendOrder::Slot BlendOrder::slot(size_t corpus) const {
  const auto used = static_cast<double>(now_.uses[corpus]);
  const double from = std::min(used * turns_per_use_[corpus], longest_turn);
  const double to = std::min((used + 1) * turns_per_use_[corpus], longest_turn);
  return {static_cast<int64_t>(std::floor(from + tolerance(from))),
          static_cast<int64_t>(std::ceil(to - tolerance(to)))};
}

void BlendOrder::deal() {
  size_t next = 0;
  const auto urgency = [&](size_t i) {
    return std::make_tuple(slots_[i].release > now_.turns, slots_[i].deadline);
  };
  for (size_t i = 1; i < slots_.size(); ++i) {
    if (urgency(i) < urgency(next)) next = i;
  }
  recent_.push_back({next, now_.uses[next]++});
  ++now_.turns;
  slots_[next] = slot(next);
  if (recent_.size() > most_recent) recent_.pop_front();
}

const BlendOrder::Turn& BlendOrder::turn(int64_t index) {
  const auto first = [&] { return now_.turns - static_cast<int64_t>(recent_.size()); };
  if (index < first()) {
    go_to(index < start_.turns ? State{0, std::vector<int64_t>(slots_.size(), 0)} : start_);
  }
  while (now_.turns <= index) deal();
  return recent_[index - first()];
}

std::vector<int64_t> BlendOrder::uses(int64_t turns) {
  if (turns == 0) return std::vector<int64_t>(slots_.size(), 0);
  if (turns == start_.turns) return start_.uses;
  turn(turns - 1);
  std::vector<int64_t> uses = now_.uses;
  for (int64_t later = turns; later < now_.turns; ++later) --uses[turn(later).corpus];
  return uses;
}

void BlendOrder::start_from(const std::vector<int64_t>& uses) {
  start_ = {std::accumulate(uses.begin(), uses.end(), int64_t{0}), uses};
  go_to(start_);
}

}  // namespace rondo
