#include "training/control/spike_guard.h"

#include <cmath>
#include <numeric>

namespace rondo {

bool SpikeGuard::add(double loss) {
  if (is_high(loss)) return ++length_ == patience;
  length_ = 0;
  healthy_.push_back(loss);
  if (healthy_.size() > window) healthy_.pop_front();
  return false;
}

bool SpikeGuard::is_high(double loss) const {
  if (healthy_.size() < least) return false;
  const auto count = static_cast<double>(healthy_.size());
  const double mean = std::accumulate(healthy_.begin(), healthy_.end(), 0.0) / count;
  double squares = 0.0;
  for (const double healthy : healthy_) squares += (healthy - mean) * (healthy - mean);
  return loss > mean + sigmas_ * std::sqrt(squares / count);
}

}  // namespace rondo
