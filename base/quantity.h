// Numbers as people read them.
#pragma once

#include <string>

namespace rondo {

/// "0.4s", "42s", "1m 40s", "2h 05m", "3d 04h"; "?" for what is not finite.
std::string format_duration(double seconds);

/// Three significant digits at most, with an SI prefix: "950", "8.5k", "1.23M"; "?" for what is not
/// finite.
std::string format_si(double value);

}  // namespace rondo
