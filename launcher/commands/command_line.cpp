#include "launcher/commands/command_line.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iostream>

#include "base/user_error.h"
#include "launcher/config/nearest.h"

namespace rondo {

bool parse_words(CLI::App& app, std::vector<std::string> arguments, bool speaks) {
  app.name("rondo " + app.get_name());
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them last first
  try {
    app.parse(arguments);
  } catch (const CLI::CallForHelp&) {
    if (speaks) std::cout << app.help();
    return false;
  } catch (const CLI::ParseError& error) {
    throw UserError(std::string(error.what()) + "; see " + app.get_name() + " --help");
  }
  return true;
}

CLI::Validator at_least_one() {
  const auto complaint = [](const std::string& text) {
    int64_t number = 0;
    const bool fits = CLI::detail::lexical_cast(text, number) && number >= 1;
    return fits ? "" : fmt::format("{} is no whole number of at least 1", text);
  };
  return {complaint, ""};
}

std::string with_options_for_keys(std::string message,
                                  const std::vector<std::pair<std::string, std::string>>& options) {
  for (const auto& [key, option] : options) {
    for (size_t at = message.find(key); at != std::string::npos; at = message.find(key, at)) {
      message.replace(at, key.size(), option);
    }
  }
  return message;
}

CLI::Validator one_of_words(const std::vector<std::string>& words) {
  const auto complaint = [words](const std::string& text) {
    if (std::find(words.begin(), words.end(), text) != words.end()) return std::string();
    return fmt::format("{}: did you mean {}? possible: {}", text, nearest(text, words),
                       fmt::join(words, ", "));
  };
  return {complaint, ""};
}

}  // namespace rondo
