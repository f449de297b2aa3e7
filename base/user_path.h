// Paths as users write them.
#pragma once

#include <optional>
#include <string>

namespace rondo {

/// Puts the user's home in place of the `~` of "~/x", also after a prefix as in "hf:~/x", which a
/// shell leaves as it is. Returns what is wrong with the path, if anything is: the home of another
/// user, or a name that no file system takes (255 bytes, 4095 with its folders).
std::optional<std::string> expand_path(std::string& path);

}  // namespace rondo
