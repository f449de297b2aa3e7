#include "launcher/config/compose.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "base/nearest.h"
#include "base/user_error.h"
#include "base/user_path.h"
#include "launcher/config/config.h"
#include "launcher/config/interpolate.h"
#include "launcher/config/override.h"
#include "launcher/config/schema.h"
#include "launcher/config/toml.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> folders_of(const std::string& config_dir) {
  std::vector<fs::path> folders;
  std::istringstream list(config_dir);
  for (std::string folder; std::getline(list, folder, ':');) {
    if (const auto complaint = expand_path(folder)) {
      throw UserError(fmt::format("config folder '{}': {}", folder, *complaint));
    }
    if (!fs::is_directory(folder)) {
      throw UserError(fmt::format(
          "there is no config folder '{}'; name one with --config-dir or RONDO_CONFIGS", folder));
    }
    folders.emplace_back(folder);
  }
  return folders;
}

/// The files below `folders`, the first folder that has one winning.
struct Library {
  std::vector<fs::path> folders;

  /// Path of `relative`, empty when no folder has it.
  std::string find(const std::string& relative) const {
    for (const fs::path& folder : folders) {
      if (fs::is_regular_file(folder / relative)) return (folder / relative).string();
    }
    return "";
  }

  std::vector<std::string> groups() const {
    std::set<std::string> names;
    for (const fs::path& folder : folders) {
      if (!fs::is_directory(folder)) continue;
      for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
        if (entry.is_directory()) names.insert(entry.path().filename().string());
      }
    }
    return {names.begin(), names.end()};
  }

  std::vector<std::string> options(const std::string& group) const {
    std::set<std::string> names;
    for (const fs::path& folder : folders) {
      if (!fs::is_directory(folder / group)) continue;
      for (const fs::directory_entry& entry : fs::directory_iterator(folder / group)) {
        if (entry.path().extension() == ".toml") names.insert(entry.path().stem().string());
      }
    }
    return {names.begin(), names.end()};
  }

  bool has_group(const std::string& name) const {
    const std::vector<std::string> all = groups();
    return std::find(all.begin(), all.end(), name) != all.end();
  }
};

/// The option that is chosen for a group, and who chose it.
struct Choice {
  std::string group;
  std::string option;
  std::string where;
  bool by_default = true;
};

/// A second entry would be mixed with the first, key by key.
void check_first_of_group(const std::vector<Choice>& choices, const Choice& choice) {
  for (const Choice& other : choices) {
    if (other.group != choice.group) continue;
    throw UserError(
        fmt::format("{}: defaults lists two options of the group {}: {} and {}; keep one",
                    choice.where, choice.group, other.option, choice.option));
  }
}

/// Path of rondo.toml.
std::string main_file(const Library& library, const std::string& config_dir) {
  const std::string found = library.find("rondo.toml");
  if (!found.empty()) return found;
  throw UserError(
      fmt::format("no rondo.toml in '{}'; name a config folder with --config-dir or RONDO_CONFIGS",
                  config_dir));
}

/// The first sentence of the comment that a file begins with.
std::string first_comment(const std::string& path) {
  std::ifstream file(path);
  std::string text;
  for (std::string line; std::getline(file, line) && line.starts_with("#");) {
    text += line.substr(1);
  }
  text.erase(0, text.find_first_not_of(' '));
  const size_t end = text.find(". ");
  return end == std::string::npos ? text : text.substr(0, end + 1);
}

std::vector<Choice> read_defaults(const ConfigEntry& entry) {
  const auto* list = std::get_if<ConfigValue::List>(&entry.value.data);
  const ConfigValue::List single = {entry.value};
  std::vector<Choice> choices;
  for (const ConfigValue& item : list == nullptr ? single : *list) {
    const std::string text = plain_text(item);
    const size_t slash = text.find('/');
    if (slash == std::string::npos) {
      throw UserError(
          fmt::format("{}: defaults lists \"group/option\", such as \"model/llama_tiny\", not {}",
                      entry.where, toml_literal(item)));
    }
    const Choice choice{text.substr(0, slash), text.substr(slash + 1), entry.where};
    check_first_of_group(choices, choice);
    choices.push_back(choice);
  }
  return choices;
}

/// Replaces the choice for the group in its place, or adds it after the others.
void choose(std::vector<Choice>& choices, const Choice& choice) {
  const auto same = std::find_if(choices.begin(), choices.end(),
                                 [&](const Choice& other) { return other.group == choice.group; });
  if (same == choices.end()) {
    choices.push_back(choice);
  } else {
    *same = choice;
  }
}

ConfigEntries load(const Library& library, const Choice& choice) {
  const std::string path = library.find(choice.group + "/" + choice.option + ".toml");
  if (!path.empty()) return parse_toml_file(path);
  const std::vector<std::string> options = library.options(choice.group);
  if (options.empty()) {
    const std::vector<std::string> groups = library.groups();
    const std::string guess = did_you_mean(choice.group, groups, "; ");
    throw UserError(
        fmt::format("{}: {} is not a group{}", choice.where, choice.group,
                    guess.empty() ? fmt::format("; groups: {}", fmt::join(groups, ", ")) : guess));
  }
  const std::string guess = did_you_mean(choice.option, options, " ");
  throw UserError(fmt::format("{}: group {} has no option {};{} options: {}", choice.where,
                              choice.group, choice.option, guess, fmt::join(options, ", ")));
}

/// A key without a dot is a group, or a slip.
void check_override_key(const Library& library, const Override& override) {
  if (override.key.find('.') != std::string::npos) {
    check_key_exists(override.key, override.where);
    return;
  }
  std::vector<std::string> known = library.groups();
  const std::vector<std::string> keys = config_keys();
  known.insert(known.end(), keys.begin(), keys.end());
  const std::string guess = did_you_mean(override.key, known, "; ");
  throw UserError(fmt::format("{}: {} is neither a group nor a key{}", override.where, override.key,
                              guess.empty() ? list_keys_with : guess));
}

/// Puts the key, or the table with everything below it, back to the default value. True when it is
/// one the schema knows.
bool reset(ConfigEntries& entries, const Override& override, int layer) {
  bool exists = false;
  for (const auto& [key, entry] : config_defaults()) {
    if (key != override.key && !key.starts_with(override.key + ".")) continue;
    exists = true;
    entries[key] = {entry.value, override.where, layer, /*chosen=*/false};
  }
  return exists;
}

void check_keys(const ConfigEntries& entries) {
  for (const auto& [key, entry] : entries) check_key_exists(key, entry.where);
}

/// Group choices of the command line go into `choices`; the other overrides are returned in order.
std::vector<Override> apply_choices(const Library& library, std::vector<Choice>& choices,
                                    const std::vector<std::string>& texts) {
  std::vector<Override> rest;
  for (const std::string& text : texts) {
    Override override = parse_override(text);
    const bool is_group = library.has_group(override.key);
    if (is_group && !override.deletes) {
      const ConfigValue option = override_value(override);
      choose(choices, {override.key, option.typed.empty() ? plain_text(option) : option.typed,
                       override.where, /*by_default=*/false});
      continue;
    }
    std::erase_if(choices, [&](const Choice& choice) {
      return override.deletes && choice.group == override.key;
    });
    rest.push_back(std::move(override));
  }
  return rest;
}

void apply(const Library& library, const Override& override, ConfigEntries& entries, int layer) {
  if (override.deletes) {
    const bool exists = reset(entries, override, layer);
    if (!exists && !library.has_group(override.key)) check_override_key(library, override);
    return;
  }
  check_override_key(library, override);
  entries[override.key] = {override_value(override), override.where, layer};
}

}  // namespace

Resolved compose(const std::string& config_dir, const std::vector<std::string>& overrides) {
  const Library library{folders_of(config_dir)};
  ConfigEntries own = parse_toml_file(main_file(library, config_dir));
  std::vector<Choice> choices;
  if (const auto defaults = own.extract("defaults")) choices = read_defaults(defaults.mapped());
  const std::vector<Override> sets = apply_choices(library, choices, overrides);

  int layer = 0;
  ConfigEntries entries;
  for (const Choice& choice : choices) {
    overlay(entries, load(library, choice), layer++, !choice.by_default);
  }
  overlay(entries, own, layer++, /*chosen=*/true);
  check_keys(entries);
  for (const Override& override : sets) apply(library, override, entries, layer++);
  return {interpolate(entries, config_defaults())};
}

Resolved resolved_from_toml(const std::string& text, const std::string& origin) {
  const ConfigEntries entries = parse_toml(text, origin);
  check_keys(entries);
  return {interpolate(entries, config_defaults())};
}

std::string to_toml(const Resolved& resolved) { return to_toml(parse_config(resolved)); }

std::string before_built_in_configs(const std::string& folders) {
  const std::string built_in = RONDO_SOURCE_CONFIGS;
  if (!fs::is_directory(built_in)) return folders;
  for (const fs::path& folder : folders_of(folders)) {
    std::error_code unreadable;
    if (fs::equivalent(folder, built_in, unreadable)) return folders;
  }
  return folders.empty() ? built_in : folders + ":" + built_in;
}

std::string default_config_dir() {
  if (const char* configured = std::getenv("RONDO_CONFIGS")) {
    return before_built_in_configs(configured);
  }
  return before_built_in_configs(fs::is_directory("configs") ? "configs" : "");
}

std::vector<ConfigGroup> config_groups(const std::string& config_dir) {
  const Library library{folders_of(config_dir)};
  ConfigEntries main = parse_toml_file(main_file(library, config_dir));
  std::vector<Choice> chosen;
  if (const auto defaults = main.extract("defaults")) chosen = read_defaults(defaults.mapped());
  std::vector<ConfigGroup> groups;
  for (const std::string& name : library.groups()) {
    ConfigGroup group{name, {}};
    for (const std::string& option : library.options(name)) {
      const bool is_default = std::any_of(chosen.begin(), chosen.end(), [&](const Choice& choice) {
        return choice.group == name && choice.option == option;
      });
      group.options.push_back(
          {option, first_comment(library.find(name + "/" + option + ".toml")), is_default});
    }
    groups.push_back(std::move(group));
  }
  return groups;
}

std::vector<std::string> config_options(const std::string& config_dir, const std::string& group) {
  return Library{folders_of(config_dir)}.options(group);
}

}  // namespace rondo
