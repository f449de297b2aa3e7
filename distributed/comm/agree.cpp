#include "distributed/comm/agree.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace rondo {

void agree(Communicator& world, const std::function<void()>& step) {
  std::optional<UserError> error;
  try {
    step();
  } catch (const UserError& caught) {
    error = caught;
  }
  std::vector<int64_t> failed(static_cast<size_t>(world.size()), 0);
  failed[static_cast<size_t>(world.rank())] = error ? 1 : 0;
  world.all_reduce_sum({failed.data(), world.size(), ElementType::int64});
  const auto lowest = std::find(failed.begin(), failed.end(), 1);
  if (lowest == failed.end()) return;
  if (lowest - failed.begin() == world.rank()) throw AgreedError(error->what());
  throw AgreedError("");
}

namespace {

/// Rank 0's text, on all ranks.
std::string first_text(Communicator& world, const std::string& mine) {
  auto size = static_cast<int64_t>(mine.size());
  world.broadcast({&size, 1, ElementType::int64}, 0);
  std::vector<int64_t> words(static_cast<size_t>(size) / sizeof(int64_t) + 1, 0);
  if (world.rank() == 0) std::memcpy(words.data(), mine.data(), mine.size());
  world.broadcast({words.data(), static_cast<int64_t>(words.size()), ElementType::int64}, 0);
  return {reinterpret_cast<const char*>(words.data()), static_cast<size_t>(size)};
}

/// The first line of `mine` that is not the same line of `first`.
std::string differing_line(const std::string& first, const std::string& mine) {
  std::istringstream a(first);
  std::istringstream b(mine);
  std::string line_a;
  std::string line_b;
  while (std::getline(a, line_a) && std::getline(b, line_b)) {
    if (line_a != line_b) return line_b + " instead of " + line_a;
  }
  return "another length";
}

}  // namespace

void check_same_text(Communicator& world, const std::string& what, const std::string& text) {
  const std::string first = first_text(world, text);
  agree(world, [&] {
    if (text == first) return;
    throw UserError("rank " + std::to_string(world.rank()) + " has another " + what +
                    " than rank 0, " + differing_line(first, text) +
                    "; start all ranks with the same words and files");
  });
}

}  // namespace rondo
