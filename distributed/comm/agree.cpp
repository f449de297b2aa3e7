#include "distributed/comm/agree.h"

#include <algorithm>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

namespace rondo {

namespace {

enum class Outcome : int64_t { fine, user_error, run_error };

}  // namespace

// What is rare costs more: one number is summed where all is well.
void agree(Communicator& world, const std::function<void()>& step) {
  Outcome mine = Outcome::fine;
  std::string line;
  try {
    step();
  } catch (const UserError& error) {
    mine = Outcome::user_error;
    line = error.what();
  } catch (const RunError& error) {
    mine = Outcome::run_error;
    line = error.what();
  }
  int64_t failures = mine == Outcome::fine ? 0 : 1;
  world.all_reduce_sum({&failures, 1, ElementType::int64});
  if (failures == 0) return;
  std::vector<int64_t> outcomes(static_cast<size_t>(world.size()), 0);
  outcomes[static_cast<size_t>(world.rank())] = static_cast<int64_t>(mine);
  world.all_reduce_sum({outcomes.data(), world.size(), ElementType::int64});
  const auto lowest =
      std::find_if(outcomes.begin(), outcomes.end(), [](int64_t outcome) { return outcome != 0; });
  if (lowest - outcomes.begin() != world.rank()) line.clear();
  if (Outcome{*lowest} == Outcome::user_error) throw AgreedError(line);
  throw AgreedRunError(line);
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
