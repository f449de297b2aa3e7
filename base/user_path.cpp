#include "base/user_path.h"

#include <fmt/format.h>

#include <climits>
#include <cstdlib>
#include <sstream>

namespace rondo {
namespace {

/// Where the path itself begins: after "hf:" and the like.
size_t after_prefix(const std::string& path) {
  const size_t colon = path.find(':');
  const bool is_prefix = colon != std::string::npos && path.find('/') > colon;
  return is_prefix ? colon + 1 : 0;
}

std::optional<std::string> expand_home(std::string& path, size_t begin) {
  if (begin >= path.size() || path[begin] != '~') return std::nullopt;
  const size_t end = std::min(path.find('/', begin), path.size());
  const std::string user = path.substr(begin + 1, end - begin - 1);
  if (!user.empty()) {
    return fmt::format("~{} is not looked up; write the folder itself, or ./~{} for that name",
                       user, user);
  }
  const char* home = std::getenv("HOME");
  if (home == nullptr) return "there is no HOME in the environment that ~ stands for";
  path.replace(begin, 1, home);
  return std::nullopt;
}

}  // namespace

std::optional<std::string> expand_path(std::string& path) {
  const size_t begin = after_prefix(path);
  if (auto complaint = expand_home(path, begin)) return complaint;
  std::istringstream names(path.substr(begin));
  for (std::string name; std::getline(names, name, '/');) {
    if (name.size() <= NAME_MAX) continue;
    return fmt::format("a name in the path has {} bytes, and file systems take {}; shorten it",
                       name.size(), NAME_MAX);
  }
  if (path.size() - begin < PATH_MAX) return std::nullopt;
  return fmt::format("the path has {} bytes, and file systems take {}; shorten it",
                     path.size() - begin, PATH_MAX - 1);
}

}  // namespace rondo
