// Which runs the words of a command line mean.
#pragma once

#include <string>
#include <vector>

namespace rondo {

/// Each of `words` that is the folder of a run, and of one that is not, the runs up to two folders
/// below it, as those of a sweep or of a day, by name. A word with neither is left out with a line
/// on stderr, so that `runs/*` means the runs there. Throws UserError where no run is left, or
/// where the only word is no run.
std::vector<std::string> run_folders(const std::vector<std::string>& words);

}  // namespace rondo
