#include "training/pass_schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <regex>

#include "base/splitmix64.h"
#include "base/user_error.h"

namespace rondo {
namespace {

/// A number in [0, 1) that (seed, step) fixes, the same on every machine.
double draw(uint64_t seed, int64_t step) {
  const uint64_t x =
      mix_bits(seed * splitmix64_step + static_cast<uint64_t>(step) * 0xd1b54a32d192ed03u);
  return static_cast<double>(x >> 11) * 0x1.0p-53;
}

/// The inverse of the Poisson distribution's sum, no further than `most`.
int poisson(double mean, double u, int most) {
  double term = std::exp(-mean);
  double sum = term;
  int n = 0;
  while (u >= sum && n < most) {
    ++n;
    term *= mean / n;
    sum += term;
  }
  return n;
}

}  // namespace

PassSchedule PassSchedule::parse(const std::string& text) {
  PassSchedule schedule;
  std::smatch parts;
  if (text.empty()) return schedule;
  if (std::regex_match(text, parts, std::regex(R"(uniform:(\d{1,6})\.\.(\d{1,6}))"))) {
    schedule.kind_ = Kind::uniform;
    schedule.low_ = std::stoi(parts[1]);
    schedule.high_ = std::stoi(parts[2]);
    if (schedule.low_ >= 1 && schedule.low_ <= schedule.high_) return schedule;
  } else if (std::regex_match(text, parts, std::regex(R"(poisson:(\d{1,6}(\.\d{1,6})?))"))) {
    schedule.kind_ = Kind::poisson;
    schedule.mean_ = std::stod(parts[1]);
    if (schedule.mean_ >= 1.0 && schedule.mean_ <= 500.0) return schedule;
  }
  throw UserError(fmt::format(
      "write uniform:1..4 (from 1, rising), poisson:3.5 (a mean from 1 to 500) or nothing, not {}",
      text));
}

int PassSchedule::at(uint64_t seed, int64_t step, int passes) const {
  const double u = draw(seed, step);
  switch (kind_) {
    case Kind::all:
      break;
    case Kind::uniform:
      return std::min(passes, low_ + static_cast<int>(u * (high_ - low_ + 1)));
    case Kind::poisson:
      return 1 + poisson(mean_ - 1.0, u, passes - 1);
  }
  return passes;
}

}  // namespace rondo
