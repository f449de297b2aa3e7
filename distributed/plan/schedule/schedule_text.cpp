#include "distributed/plan/schedule/schedule_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <optional>
#include <sstream>
#include <string_view>
#include <vector>

#include "base/user_error.h"

namespace rondo {
namespace {

/// By Op.
constexpr std::array<std::string_view, 9> names = {
    "F", "B", "I", "W", "SEND_F", "RECV_F", "SEND_B", "RECV_B", "REDUCE_GRAD"};

/// Takes the whole number that `text` begins with.
std::optional<int> take_number(std::string_view& text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return number;
}

std::optional<Action> try_parse(std::string_view text) {
  const std::optional<int> number = take_number(text);
  const size_t letters = std::min(text.find_first_of("0123456789"), text.size());
  const auto name = std::find(names.begin(), names.end(), text.substr(0, letters));
  if (!number || name == names.end()) return std::nullopt;
  const auto op = static_cast<Op>(name - names.begin());
  text.remove_prefix(letters);
  const std::optional<int> microbatch = op == Op::reduce ? 0 : take_number(text);
  if (!microbatch || !text.empty()) return std::nullopt;
  return op == Op::reduce ? reduce_action(*number) : Action{op, *number, *microbatch};
}

}  // namespace

std::string to_text(const Action& action) {
  const std::string_view name = names[static_cast<size_t>(action.op)];
  if (action.op == Op::reduce) return fmt::format("{}{}", action.group, name);
  return fmt::format("{}{}{}", action.chunk, name, action.microbatch);
}

Action parse_action(const std::string& text) {
  const std::optional<Action> action = try_parse(text);
  if (action) return *action;
  throw UserError(
      fmt::format("'{}' is no action; write chunk, operation and microbatch, as in 2F0", text));
}

std::string to_csv(const Program& program) {
  std::string text;
  for (const RankProgram& actions : program) {
    std::vector<std::string> cells;
    std::transform(actions.begin(), actions.end(), std::back_inserter(cells), to_text);
    text += fmt::format("{}\n", fmt::join(cells, ","));
  }
  return text;
}

Program from_csv(const std::string& text) {
  Program program;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    program.emplace_back();
    std::istringstream cells(line);
    int number = 0;
    for (std::string cell; std::getline(cells, cell, ',');) {
      ++number;
      if (cell.empty()) continue;
      try {
        program.back().push_back(parse_action(cell));
      } catch (const UserError& error) {
        throw UserError(
            fmt::format("schedule, line {}, cell {}: {}", program.size(), number, error.what()));
      }
    }
  }
  return program;
}

}  // namespace rondo
