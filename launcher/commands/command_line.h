// What the subcommands share in reading their words.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace rondo {

/// Parses `arguments` with `app`, which is named after its subcommand. Returns false when help was
/// asked for, which it prints where this process `speaks`; throws UserError for words that do not
/// fit.
bool parse_words(CLI::App& app, std::vector<std::string> arguments, bool speaks = true);

/// A whole number of at least 1.
CLI::Validator at_least_one();

/// `message`, which speaks of a run's keys, with the options that stand for them: {key, option}
/// each.
std::string with_options_for_keys(std::string message,
                                  const std::vector<std::pair<std::string, std::string>>& options);

/// One of `words`.
CLI::Validator one_of_words(const std::vector<std::string>& words);

}  // namespace rondo
