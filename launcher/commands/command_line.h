// The words of a subcommand as a table of options, each with the variable that it fills.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace rondo {

/// What an option takes beyond its type.
struct Rule {
  bool required = false;
  bool shows_default = false;           ///< --help prints the variable's first value
  std::vector<std::string> words = {};  ///< one of these
  std::optional<double> least = {};     ///< of a number
  double most = std::numeric_limits<double>::infinity();
  bool path = false;            ///< `~/` is the user's home
  bool bytes = false;           ///< 5GB, 200MB or a plain number
  bool value_optional = false;  ///< `--name` alone is given, and leaves the variable as it is
};

/// `name` begins with "--", or is that of a word without one. A bool is a flag; a list takes
/// several words, one of integers also "0,1,2".
struct Option {
  using Target = std::variant<bool*, int*, int64_t*, uint64_t*, double*, std::string*,
                              std::vector<int>*, std::vector<std::string>*>;
  std::string name;
  Target target;
  std::string help;
  Rule rule = {};
};

/// The names of the options that the user gave.
using GivenOptions = std::set<std::string>;

/// Hidden words that print what the tables of options hold: a manual page, and the words that a
/// shell may complete.
inline constexpr const char* manual_word = "--help-manual";
inline constexpr const char* completion_word = "--help-words";

struct CommandLine {
  std::string name;   ///< of the subcommand
  std::string about;  ///< one sentence
  std::vector<Option> options;
  std::string footer;                       ///< examples
  std::vector<std::string> completed = {};  ///< words beside the options that a shell may complete

  /// Fills the options' variables. Nothing when help was asked for, which is printed where this
  /// process `speaks`. Throws UserError for words that do not fit.
  std::optional<GivenOptions> parse(std::vector<std::string> arguments, bool speaks = true) const;
};

/// `message`, which is about a run's keys, with the options that stand for them: {key, option}
/// each.
std::string with_options_for_keys(std::string message,
                                  const std::vector<std::pair<std::string, std::string>>& options);

}  // namespace rondo
