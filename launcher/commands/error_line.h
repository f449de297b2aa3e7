// The line of an error that a user reads.
#pragma once

#include <exception>
#include <string>

namespace rondo {

/// Whether the system or LibTorch had no more of it. What tidies up (HDF5, MPI_Finalize) may then
/// end the process by itself.
bool wants_memory(const std::exception& error);

/// All of what a UserError says. Of any other error the first line, since LibTorch adds a stack
/// trace; where memory was wanted, what takes less of it.
std::string error_line(const std::exception& error);

/// "rondo: " and `error_line` on stderr, at once: MPI may fail when it ends. Nothing of an empty
/// line.
void print_error(const std::exception& error);

}  // namespace rondo
