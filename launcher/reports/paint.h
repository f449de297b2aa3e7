// Colours for people, never for files.
#pragma once

#include <string>

namespace rondo {

enum class Paint { bold, good, bad, quiet };

/// `text` in its colour where the descriptor is a terminal and NO_COLOR (no-color.org) is unset;
/// else as it is.
std::string painted(const std::string& text, Paint paint, int descriptor);

}  // namespace rondo
