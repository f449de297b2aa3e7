// Scripts that belong to rondo and lie beside its sources, or where it was installed.
#pragma once

#include <string>

namespace rondo {

/// Path of `name`, such as "slurm/sweep.sbatch": in $RONDO_SOURCE, in share/rondo beside the folder
/// of this program, or above that folder, as build/rondo lies. Throws UserError, which begins with
/// `asker`.
std::string source_file(const std::string& asker, const std::string& name);

}  // namespace rondo
