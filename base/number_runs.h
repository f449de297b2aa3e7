// Lists of numbers for people.
#pragma once

#include <string>
#include <vector>

namespace rondo {

/// Ascending numbers with `separator` between them, runs of them as one: "0-3,7".
std::string number_runs(const std::vector<int>& numbers, const char* separator = ",");

}  // namespace rondo
