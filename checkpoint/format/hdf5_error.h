// Why a call of HDF5 failed.
#pragma once

#include <string>

namespace rondo {

/// The innermost description on HDF5's error stack, which is the cause, in one line; where it
/// quotes the system, what the system said.
std::string last_hdf5_error();

}  // namespace rondo
