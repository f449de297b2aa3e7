// One rank's mistake is everybody's.
#pragma once

#include <functional>

#include "base/user_error.h"
#include "distributed/comm/communicator.h"

namespace rondo {

/// A mistake that every rank of the job knows of, so that all may leave in peace. The line is empty
/// on all ranks but one.
class AgreedError : public UserError {
 public:
  using UserError::UserError;
};

/// Runs `step`, which must not communicate, on every rank. Where it throws UserError on one or
/// more, all ranks throw AgreedError: the lowest of them with its own line. Collective.
void agree(Communicator& world, const std::function<void()>& step);

}  // namespace rondo
