// Suggestions for paths that do not exist.
#pragma once

#include <optional>
#include <string>

namespace rondo {

/// The path that was most likely meant by `path`, which does not exist: each name in it that is
/// missing is near to one that is there, in the folder where it was looked for.
std::optional<std::string> near_path(const std::string& path);

/// "; did you mean corpus/train.bin?", or empty where no path is near.
std::string did_you_mean_path(const std::string& path);

}  // namespace rondo
