// What ends a run although its user did nothing wrong that can be named.
#pragma once

#include <stdexcept>
#include <string>

namespace rondo {

/// A run cannot go on: numbers that are not finite, a log that could not be written. `what()` is
/// one line that says what happened, where, and what is left. Exit code 1.
class RunError : public std::runtime_error {
 public:
  explicit RunError(const std::string& line) : std::runtime_error(line) {}
};

}  // namespace rondo
