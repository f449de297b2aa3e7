// Replaces a part of a text wherever it stands.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace rondo {

/// `text` with `by` for each `part`, which is not empty.
inline std::string replaced(std::string_view text, std::string_view part, std::string_view by) {
  std::string result;
  while (!text.empty()) {
    const size_t at = std::min(text.find(part), text.size());
    result.append(text.substr(0, at));
    if (at < text.size()) result.append(by);
    text.remove_prefix(std::min(at + part.size(), text.size()));
  }
  return result;
}

}  // namespace rondo
