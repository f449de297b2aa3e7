// What the program is and what it was built with.
#pragma once

#include <string>

namespace rondo {

/// "rondo 0.1.0", then a line for each library and the compiler.
std::string version_text();

}  // namespace rondo
