// Numbers with their nouns, for messages.
#pragma once

#include <cstdint>
#include <string>

namespace rondo {

/// "1 rank", "3 ranks", "2 or 4 ranks".
inline std::string counted(const std::string& number, const std::string& noun) {
  return number + " " + noun + (number == "1" ? "" : "s");
}
inline std::string counted(int64_t number, const std::string& noun) {
  return counted(std::to_string(number), noun);
}
/// "1 pass", "3 passes".
inline std::string counted(int64_t number, const std::string& noun, const std::string& plural) {
  return std::to_string(number) + " " + (number == 1 ? noun : plural);
}

}  // namespace rondo
