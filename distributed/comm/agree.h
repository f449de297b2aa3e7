// One rank's mistake is everybody's.
#pragma once

#include <functional>
#include <string>

#include "base/run_error.h"
#include "base/user_error.h"
#include "distributed/comm/communicator.h"

namespace rondo {

/// A mistake that every rank of the job knows of, so that all may leave in peace. The line is empty
/// on all ranks but one.
class AgreedError : public UserError {
 public:
  using UserError::UserError;
};

/// The same of what is nobody's mistake.
class AgreedRunError : public RunError {
 public:
  using RunError::RunError;
};

/// On every rank, the text of the lowest rank whose text is not empty; empty where there is none.
/// Collective.
std::string first_complaint(Communicator& world, const std::string& mine);

/// Throws AgreedError on every rank where `text`, such as a config, is not that of rank 0 on
/// some: names the ranks, and the first line that is another one. Collective.
void check_same_text(Communicator& world, const std::string& what, const std::string& text);

/// Runs `step`, which must not communicate, on every rank. Where it throws UserError or RunError on
/// one or more, all ranks throw AgreedError or AgreedRunError as the lowest of them did, which has
/// its own line. Collective.
void agree(Communicator& world, const std::function<void()>& step);

}  // namespace rondo
