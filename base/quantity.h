// Numbers as people read them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace rondo {

/// "0.4s", "42s", "1m 40s", "2h 05m", "3d 04h"; "?" for what is not finite.
std::string format_duration(double seconds);

/// Three significant digits at most, with an SI prefix: "950", "8.5k", "1.23M"; "?" for what is not
/// finite.
std::string format_si(double value);

/// Four significant digits, or all before the point: "0.1234", "12.34", "190812".
std::string four_digits(double value);

/// Seconds of "2h", "1h30m" or "45s": whole numbers of d, h, m and s, the largest unit first.
/// Nothing for any other text.
std::optional<int64_t> parse_duration(const std::string& text);

/// What `parse_duration` reads as so many seconds, at least 1.
std::string duration_text(int64_t seconds);

}  // namespace rondo
