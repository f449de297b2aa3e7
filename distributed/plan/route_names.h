// The names of routes, for whoever reads or offers them.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace rondo {

/// `distributed.route`, besides one sign per pass. All but the first take several passes.
inline constexpr std::array<std::string_view, 4> route_names = {"contiguous", "loop", "vee",
                                                                "mixed"};

/// Whether the route is a name that leaves the number of passes open.
inline bool takes_passes(std::string_view route) {
  return std::find(route_names.begin() + 1, route_names.end(), route) != route_names.end();
}

}  // namespace rondo
