#include "launcher/commands/command_line.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <type_traits>

#include "base/nearest.h"
#include "base/user_error.h"
#include "base/user_path.h"
#include "launcher/commands/manual.h"

namespace rondo {
namespace {

CLI::Validator one_of(const std::vector<std::string>& words) {
  const auto complaint = [words](const std::string& text) {
    if (std::find(words.begin(), words.end(), text) != words.end()) return std::string();
    return fmt::format("{}: {}", text, choice_among(text, words));
  };
  return {complaint, ""};
}

template <typename Number>
CLI::Validator bounds(double least, double most) {
  const auto complaint = [=](const std::string& text) -> std::string {
    Number number = 0;
    const bool fits = CLI::detail::lexical_cast(text, number) &&
                      static_cast<double>(number) >= least && static_cast<double>(number) <= most;
    if (fits) return "";
    const char* kind = std::is_integral_v<Number> ? "whole number" : "number";
    return most == std::numeric_limits<double>::infinity()
               ? fmt::format("{} is no {} of at least {}", text, kind, least)
               : fmt::format("{} is no {} from {} to {}", text, kind, least, most);
  };
  return {complaint, ""};
}

template <typename Value>
CLI::Option* add_to(CLI::App& app, const Option& option, Value& value) {
  CLI::Option* added = app.add_option(option.name, value, option.help);
  if constexpr (std::is_same_v<Value, std::vector<int>>) added->delimiter(',');
  if constexpr (std::is_arithmetic_v<Value>) {
    if (option.rule.bytes) added->transform(CLI::AsSizeValue(/*kb_is_1000=*/true));
    if (option.rule.least) added->check(bounds<Value>(*option.rule.least, option.rule.most));
  }
  if (option.rule.required) added->required();
  if (option.rule.shows_default) added->capture_default_str();
  if (option.rule.value_optional) added->expected(0, 1);
  if (!option.rule.words.empty()) added->check(one_of(option.rule.words));
  return added;
}

/// Throws UserError that names the option.
void expand(const Option& option, std::string& path) {
  if (const auto complaint = expand_path(path)) {
    throw UserError(fmt::format("{} {}: {}", option.name, path, *complaint));
  }
}

void expand_paths(const Option& option) {
  if (auto* const* path = std::get_if<std::string*>(&option.target)) expand(option, **path);
  if (auto* const* list = std::get_if<std::vector<std::string>*>(&option.target)) {
    for (std::string& path : **list) expand(option, path);
  }
}

/// Of the words before "--": what stands before a "=".
std::vector<std::string> names_in(const std::vector<std::string>& arguments) {
  std::vector<std::string> names;
  for (const std::string& argument : arguments) {
    if (argument == "--") break;
    names.push_back(argument.substr(0, argument.find('=')));
  }
  return names;
}

/// CLI11 would tell of an option that is missing before it tells of the one that was misspelt.
void check_names(const std::vector<std::string>& arguments, const std::vector<Option>& options,
                 const std::string& program) {
  std::vector<std::string> names = {"--help"};
  for (const Option& option : options) {
    if (option.name.starts_with("--")) names.push_back(option.name);
  }
  for (const std::string& name : names_in(arguments)) {
    const bool known = std::find(names.begin(), names.end(), name) != names.end();
    if (!name.starts_with("--") || known) continue;
    const std::string guess = did_you_mean(name, names);
    throw UserError(fmt::format("{} is no option{}{}; see {} --help", name,
                                guess.empty() ? "" : ": ", guess, program));
  }
}

bool takes_one_value(const Option& option) {
  return !std::holds_alternative<bool*>(option.target) &&
         !std::holds_alternative<std::vector<int>*>(option.target) &&
         !std::holds_alternative<std::vector<std::string>*>(option.target);
}

/// CLI11 would count values, and not say which option has them.
void check_once(const std::vector<std::string>& arguments, const std::vector<Option>& options) {
  const std::vector<std::string> names = names_in(arguments);
  for (const Option& option : options) {
    const auto count = std::count(names.begin(), names.end(), option.name);
    if (count > 1 && takes_one_value(option)) {
      throw UserError(
          fmt::format("{} is given {} times, not once ({})", option.name, count, option.help));
    }
  }
}

std::string manual_of(const CommandLine& line) {
  ManualSection options{.name = "options"};
  for (const Option& option : line.options) {
    const bool has_value = !std::holds_alternative<bool*>(option.target);
    const bool named = option.name.starts_with("--");
    std::string term = option.name + (has_value && named ? " VALUE" : "");
    std::string meaning = option.help;
    if (!option.rule.words.empty()) {
      meaning += fmt::format(" One of: {}.", fmt::join(option.rule.words, ", "));
    }
    options.list.emplace_back(std::move(term), std::move(meaning));
  }
  return manual_page("rondo-" + line.name, 1, line.about,
                     {{.name = "synopsis", .text = fmt::format("rondo {} [OPTION...]", line.name)},
                      options,
                      {.name = "notes", .text = line.footer, .verbatim = true},
                      {.name = "see also", .text = "rondo(1), rondo-config(5)"}});
}

std::string words_of(const CommandLine& line) {
  std::string words;
  for (const Option& option : line.options) {
    if (option.name.starts_with("--")) words += option.name + "\n";
    for (const std::string& word : option.rule.words) words += word + "\n";
  }
  for (const std::string& word : line.completed) words += word + "\n";
  return words;
}

CLI::Option* add_to(CLI::App& app, const Option& option, bool& value) {
  return app.add_flag(option.name, value, option.help);
}

}  // namespace

std::optional<GivenOptions> CommandLine::parse(std::vector<std::string> arguments,
                                               bool speaks) const {
  if (arguments.size() == 1 && (arguments[0] == manual_word || arguments[0] == completion_word)) {
    if (speaks) std::cout << (arguments[0] == manual_word ? manual_of(*this) : words_of(*this));
    return std::nullopt;
  }
  CLI::App app(about, "rondo " + name);
  app.footer(footer);
  std::vector<std::pair<std::string, CLI::Option*>> added;
  for (const Option& option : options) {
    added.emplace_back(
        option.name,
        std::visit([&](auto* value) { return add_to(app, option, *value); }, option.target));
  }
  check_names(arguments, options, app.get_name());
  check_once(arguments, options);
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them last first
  try {
    app.parse(arguments);
  } catch (const CLI::CallForHelp&) {
    if (speaks) std::cout << app.help();
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    throw UserError(fmt::format("{}; see {} --help", error.what(), app.get_name()));
  }
  for (const Option& option : options) {
    if (option.rule.path) expand_paths(option);
  }
  GivenOptions given;
  for (const auto& [name, option] : added) {
    if (option->count() > 0) given.insert(name);
  }
  return given;
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

}  // namespace rondo
