#include "distributed/comm/local_ranks.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>

namespace rondo {

bool is_stopped(int64_t process) {
  std::ifstream file(fmt::format("/proc/{}/stat", process));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const size_t name_end = text.rfind(") ");  // the program's name may hold anything
  return name_end != std::string::npos && (text[name_end + 2] == 'T' || text[name_end + 2] == 't');
}

std::string stopped_clause(const std::vector<LocalRank>& local) {
  std::string text;
  for (const auto& [rank, process] : local) {
    if (is_stopped(process))
      text += fmt::format("; rank {} (process {}) is stopped", rank, process);
  }
  return text;
}

}  // namespace rondo
