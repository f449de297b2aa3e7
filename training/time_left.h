// How long a run still takes.
#pragma once

#include <cstdint>

namespace rondo {

/// Something that a run does after every `every`-th step (0: never) and after its last.
struct Occasion {
  int64_t every = 0;
  int64_t last = 0;

  bool after(int64_t step) const { return step == last || (every > 0 && step % every == 0); }
  /// Times that it comes after later steps than `step`.
  int64_t left_after(int64_t step) const;
};

/// A mean in which what is recent counts most.
class RunningMean {
 public:
  explicit RunningMean(double first_guess = 0.0) : mean_(first_guess) {}
  void add(double value);
  double value() const { return mean_; }
  bool is_guess() const { return !measured_; }

 private:
  double mean_;
  bool measured_ = false;
};

/// Follows running means of what steps, evaluations and saves have taken.
class TimeLeft {
 public:
  /// What is expected before anything of the kind has been timed.
  struct Guess {
    double evaluation_steps = 0.0;  ///< time of an evaluation, in steps
    double save_s = 0.0;
  };
  /// An evaluation of `every` 0 and `last` 0 never comes.
  TimeLeft(int64_t steps, Occasion evaluations, Occasion saves, Guess guess)
      : steps_(steps),
        evaluations_(evaluations),
        saves_(saves),
        guess_(guess),
        save_(guess.save_s) {}

  /// Of a full batch.
  void add_step(double seconds) { step_.add(seconds); }
  void add_evaluation(double seconds) { evaluation_.add(seconds); }
  /// For which training waited.
  void add_save(double seconds) { save_.add(seconds); }

  /// Seconds until all is done that comes after `step`, whose remaining steps together take
  /// `batches` full batches.
  double after(int64_t step, double batches) const;
  double after(int64_t step) const { return after(step, static_cast<double>(steps_ - step)); }

 private:
  int64_t steps_;
  Occasion evaluations_;
  Occasion saves_;
  Guess guess_;
  RunningMean step_;
  RunningMean evaluation_;
  RunningMean save_;
};

}  // namespace rondo
