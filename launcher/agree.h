// One rank's mistake is everybody's.
#pragma once

#include <functional>

#include "distributed/comm/communicator.h"

namespace rondo {

/// Runs `step`, which must not communicate, on every rank. Where it throws UserError on one or
/// more, all ranks throw: the lowest of them its own error, the others one with an empty line, so
/// that a person reads the message once. Collective.
void agree(Communicator& world, const std::function<void()>& step);

}  // namespace rondo
