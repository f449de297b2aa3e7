// Checkpoints that another program has changed through HDF5, and HDF5 files that are none.
#pragma once

#include <string>
#include <vector>

#include "tests/checkpoint/damage.h"

namespace rondo {

/// Each changes the checkpoint FOLDER/`file` of `example_checkpoint.h` through HDF5, which takes
/// its seal; none leaves a right one, unless its values are the same.
std::vector<Damage> foreign_attributes(const std::string& file);
std::vector<Damage> foreign_datasets(const std::string& file);

}  // namespace rondo
