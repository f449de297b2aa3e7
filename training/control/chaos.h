// Faults on purpose, for tests of what a run does about them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "training/models/local_model.h"

namespace rondo {

/// One fault: KIND@STEP or KIND@STEP:WHAT. WHAT is a component, such as attention/1, for nan and
/// inf, and a rank for the others; without it all ranks are struck.
///   kill    the rank's process is killed (SIGKILL), as by the kernel for want of memory
///   stop    it is stopped (SIGSTOP)
///   memory  no further memory is given to it
///   disk    no file takes anything more from it, as where a disk is full
///   slow    it sleeps a second in this step and in each later one
///   nan     what the component adds to the stream is not a number, in that step
///   inf     it is infinite
///   spike   every rank's weights are scaled by 3 before the step
struct Fault {
  std::string kind;
  int64_t step = 0;
  std::string what = {};
  bool struck = false;
};

/// Faults joined by ','. Throws UserError for what is none.
std::vector<Fault> parse_faults(const std::string& text);

/// Throws UserError for a fault that would strike nothing: of a component that no half reads, of a
/// rank that is not there, after the last step.
void check_faults(const std::vector<Fault>& faults, const ModelDefinition& model, int64_t steps,
                  int ranks);

class Chaos {
 public:
  Chaos(std::vector<Fault> faults, int rank) : faults_(std::move(faults)), rank_(rank) {}

  /// The builders of a model whose halves obey. This must outlive the model.
  HalfBuilders around(HalfBuilders builders) const;

  /// Before a step.
  void strike(int64_t step, LocalModel& model);

 private:
  bool hits(const Fault& fault) const;

  std::vector<Fault> faults_;
  int rank_;
  int64_t step_ = 0;
};

}  // namespace rondo
