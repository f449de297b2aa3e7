#include "distributed/comm/agree.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "distributed/comm/gather.h"

namespace rondo {

namespace {

enum class Outcome : int64_t { fine, user_error, run_error };

/// The lowest rank that has a value other than 0, and that value; none where no rank has. What is
/// rare costs more: one number is summed where all is well.
std::optional<std::pair<int, int64_t>> lowest_with(Communicator& world, int64_t mine) {
  int64_t count = mine == 0 ? 0 : 1;
  world.all_reduce_sum({&count, 1, ElementType::int64});
  if (count == 0) return std::nullopt;
  const std::vector<int64_t> values = everyones(world, mine);
  const auto lowest =
      std::find_if(values.begin(), values.end(), [](int64_t value) { return value != 0; });
  return std::pair(static_cast<int>(lowest - values.begin()), *lowest);
}

}  // namespace

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
  const auto lowest = lowest_with(world, static_cast<int64_t>(mine));
  if (!lowest) return;
  const auto [rank, outcome] = *lowest;
  if (rank != world.rank()) line.clear();
  if (Outcome{outcome} == Outcome::user_error) throw AgreedError(line);
  throw AgreedRunError(line);
}

namespace {

/// The text of `rank`, on all ranks.
std::string text_of(Communicator& world, int rank, const std::string& mine) {
  auto size = static_cast<int64_t>(mine.size());
  world.broadcast({&size, 1, ElementType::int64}, rank);
  std::vector<int64_t> words(static_cast<size_t>(size) / sizeof(int64_t) + 1, 0);
  if (world.rank() == rank) std::memcpy(words.data(), mine.data(), mine.size());
  world.broadcast({words.data(), static_cast<int64_t>(words.size()), ElementType::int64}, rank);
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

std::string first_complaint(Communicator& world, const std::string& mine) {
  const auto lowest = lowest_with(world, mine.empty() ? 0 : 1);
  return lowest ? text_of(world, lowest->first, mine) : "";
}

void check_same_text(Communicator& world, const std::string& what, const std::string& text) {
  const std::string first = text_of(world, 0, text);
  agree(world, [&] {
    if (text == first) return;
    throw UserError("rank " + std::to_string(world.rank()) + " has another " + what +
                    " than rank 0, " + differing_line(first, text) +
                    "; start all ranks with the same words and files");
  });
}

}  // namespace rondo
