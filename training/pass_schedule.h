// How many passes over the recurring layers a step makes.
#pragma once

#include <cstdint>
#include <string>

namespace rondo {

/// `train.passes`: "" (all, always), "uniform:1..4", or "poisson:3.5": 1 + Poisson(mean − 1), as
/// Huginn draws depths (arXiv 2502.05171), cut off at what the map has.
class PassSchedule {
 public:
  /// Throws UserError for a text that is none of these.
  static PassSchedule parse(const std::string& text);

  bool varies() const { return kind_ != Kind::all; }
  /// The most passes that the text itself names; 0 where it names none.
  int highest() const { return kind_ == Kind::uniform ? high_ : 0; }

  /// Passes of `step` of a model that has `passes`: a pure function of its arguments, the same on
  /// every rank and after a resume.
  int at(uint64_t seed, int64_t step, int passes) const;

 private:
  enum class Kind : uint8_t { all, uniform, poisson };
  Kind kind_ = Kind::all;
  int low_ = 1;
  int high_ = 1;
  double mean_ = 1.0;
};

}  // namespace rondo
