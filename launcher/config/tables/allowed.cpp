#include "launcher/config/tables/allowed.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/nearest.h"
#include "base/user_error.h"
#include "distributed/plan/route_names.h"
#include "distributed/plan/schedule/schedule_kind.h"
#include "model/definition/sharing_map.h"
#include "training/config.h"
#include "training/pass_schedule.h"

namespace rondo {
namespace {

/// Holds for every number in the value, those inside lists included.
Complaint every_number(const ConfigValue& value, const std::function<bool(double)>& fits,
                       const std::string& complaint) {
  if (const auto* list = std::get_if<ConfigValue::List>(&value.data)) {
    for (const ConfigValue& item : *list) {
      if (const Complaint found = every_number(item, fits, complaint)) return found;
    }
    return std::nullopt;
  }
  double number = 0;
  if (read_value(value, number) || (std::isfinite(number) && fits(number))) return std::nullopt;
  return complaint;
}

Allowed numbers(const std::string& words, const std::string& verb,
                const std::function<bool(double)>& fits) {
  const std::string complaint = fmt::format("must {} {}", verb, words);
  return {words, [=](const ConfigValue& value) { return every_number(value, fits, complaint); }};
}

std::string until_colon(const std::string& text) { return text.substr(0, text.find(':')); }

Complaint unknown_strategy(const ConfigValue& value) {
  const std::vector<std::string> known = sharing_strategies();
  const std::string text = plain_text(value);
  const bool exists = std::any_of(known.begin(), known.end(), [&](const std::string& candidate) {
    return until_colon(candidate) == until_colon(text);
  });
  return exists ? std::nullopt : Complaint(choice_among(until_colon(text), known));
}

/// One of `names`, or a text for which `other` holds, described by `or_what`.
Allowed names_or(const std::vector<std::string>& names, const std::string& or_what,
                 const std::function<bool(const std::string&)>& other) {
  const Allowed named = one_of(names);
  const auto complaint = [=](const ConfigValue& value) -> Complaint {
    if (other(plain_text(value))) return std::nullopt;
    const Complaint found = named.complaint(value);
    return found ? Complaint(*found + ", " + or_what) : std::nullopt;
  };
  return {fmt::format("{}, {}", fmt::join(names, ", "), or_what), complaint, names};
}

/// "auto" and the names that a plan knows.
template <typename Names>
std::vector<std::string> auto_and(const Names& names) {
  std::vector<std::string> all = {"auto"};
  all.insert(all.end(), names.begin(), names.end());
  return all;
}

}  // namespace

Allowed anything() {
  return {"", [](const ConfigValue&) -> Complaint { return std::nullopt; }};
}

Allowed not_empty() {
  return {"not empty", [](const ConfigValue& value) {
            return plain_text(value).empty() ? Complaint("must not be empty") : std::nullopt;
          }};
}

Allowed at_least(double low) {
  return numbers(fmt::format("at least {}", low), "be", [=](double x) { return x >= low; });
}

Allowed more_than_zero() {
  return numbers("greater than 0", "be", [](double x) { return x > 0; });
}

Allowed within(double low, double high) {
  return numbers(fmt::format("in [{}, {}]", low, high), "lie",
                 [=](double x) { return x >= low && x <= high; });
}

Allowed fraction() {
  return numbers("in [0, 1)", "lie", [](double x) { return x >= 0 && x < 1; });
}

Allowed share() {
  return numbers("in (0, 1]", "lie", [](double x) { return x > 0 && x <= 1; });
}

Allowed count() {
  constexpr double most = 1 << 24;
  const Allowed high =
      numbers(fmt::format("at most {}", most), "be", [](double x) { return x <= most; });
  return {"at least 1", [=](const ConfigValue& value) {
            const Complaint found = at_least(1).complaint(value);
            return found ? found : high.complaint(value);
          }};
}

Allowed one_of(std::vector<std::string> names) {
  const auto complaint = [names](const ConfigValue& value) -> Complaint {
    const std::string text = plain_text(value);
    if (std::find(names.begin(), names.end(), text) != names.end()) return std::nullopt;
    return choice_among(text, names);
  };
  return {fmt::format("{}", fmt::join(names, ", ")), complaint, names};
}

Allowed strategy() {
  const std::vector<std::string> names = sharing_strategies();
  return {fmt::format("{}", fmt::join(names, ", ")), unknown_strategy, names};
}

Allowed strategy_or_empty() {
  const auto complaint = [](const ConfigValue& value) {
    return plain_text(value).empty() ? std::nullopt : unknown_strategy(value);
  };
  return {"empty, or " + strategy().words, complaint, strategy().names};
}

Allowed route() {
  return names_or(auto_and(route_names), "or one sign per pass as in ++-",
                  [](const std::string& text) {
                    return !text.empty() && text.find_first_not_of("+-") == std::string::npos;
                  });
}

Allowed schedule() {
  std::vector<std::string_view> names;
  for (const ScheduleRule& rule : schedule_rules) names.push_back(rule.name);
  return names_or(auto_and(names), "or a file that ends in .csv", is_schedule_file);
}

Allowed pass_schedule() {
  const auto complaint = [](const ConfigValue& value) -> Complaint {
    try {
      PassSchedule::parse(plain_text(value));
    } catch (const UserError& error) {
      return error.what();
    }
    return std::nullopt;
  };
  return {"empty, uniform:1..4 (from 1, rising) or poisson:3.5 (a mean from 1 to 500)", complaint};
}

}  // namespace rondo
