// The one error every folder may throw at the person who started the program.
#pragma once

#include <stdexcept>
#include <string>

namespace rondo {

/// A mistake in a config, corpus, checkpoint or environment. `what()` is one line that says what is
/// wrong, where, and how to mend it. The launcher prints it and exits with code 2; nothing may have
/// been written when it is thrown.
class UserError : public std::runtime_error {
 public:
  explicit UserError(const std::string& line) : std::runtime_error(line) {}
};

}  // namespace rondo
