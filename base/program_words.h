// The argv of the exec functions.
#pragma once

#include <string>
#include <vector>

namespace rondo {

/// `words` as an argv, which points into them: they must stay as they are.
inline std::vector<char*> program_words(std::vector<std::string>& words) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  return argv;
}

}  // namespace rondo
