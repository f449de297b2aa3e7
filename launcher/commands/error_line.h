// The line of an error that a user reads.
#pragma once

#include <exception>
#include <string>

namespace rondo {

/// All of what a UserError says. Of any other error the first line, since LibTorch adds a stack
/// trace; where memory was wanted, what takes less of it.
std::string error_line(const std::exception& error);

/// "rondo: " and `error_line` on stderr, at once: MPI may fail when it ends. Nothing of an empty
/// line.
void print_error(const std::exception& error);

}  // namespace rondo
