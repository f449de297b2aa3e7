#include "launcher/config/compose.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/nearest.h"
#include "base/user_error.h"
#include "launcher/config/config.h"
#include "launcher/config/defaults.h"
#include "launcher/config/interpolate.h"
#include "launcher/config/library.h"
#include "launcher/config/override.h"
#include "launcher/config/schema.h"
#include "launcher/config/toml.h"

namespace rondo {
namespace {

namespace fs = std::filesystem;

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

/// A key without a dot is a group, or a slip.
void check_override_key(const ConfigLibrary& library, const Override& override) {
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
std::vector<Override> apply_choices(const ConfigLibrary& library, std::vector<GroupChoice>& choices,
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
    std::erase_if(choices, [&](const GroupChoice& choice) {
      return override.deletes && choice.group == override.key;
    });
    rest.push_back(std::move(override));
  }
  return rest;
}

void apply(const ConfigLibrary& library, const Override& override, ConfigEntries& entries,
           int layer) {
  if (override.deletes) {
    const bool exists = reset(entries, override, layer);
    if (!exists && !library.has_group(override.key)) check_override_key(library, override);
    return;
  }
  check_override_key(library, override);
  entries[override.key] = {override_value(override), override.where, layer};
}

}  // namespace

Resolved compose(const std::string& config_dir, const std::vector<std::string>& overrides,
                 std::time_t now) {
  const ConfigLibrary library(config_dir);
  ConfigFile main = read_config_file(library.main_file());
  const std::vector<Override> sets = apply_choices(library, main.defaults, overrides);
  ConfigEntries entries;
  int layer = lay_over(entries, library, main.defaults, main.entries);
  check_keys(entries);
  for (const Override& override : sets) apply(library, override, entries, layer++);
  return {interpolate(entries, config_defaults(), {now})};
}

Resolved resolved_from_toml(const std::string& text, const std::string& origin) {
  const ConfigEntries entries = parse_toml(text, origin);
  check_keys(entries);
  return {interpolate(entries, config_defaults(), {})};
}

std::string to_toml(const Resolved& resolved) { return to_toml(parse_config(resolved)); }

namespace {

/// Those beside an installed program, or those of the sources that it was built from.
std::string built_in_configs() {
  std::error_code unknown;
  const fs::path program = fs::read_symlink("/proc/self/exe", unknown);
  const fs::path installed = program.parent_path().parent_path() / "share" / "rondo" / "configs";
  return fs::is_directory(installed) ? installed.string() : RONDO_SOURCE_CONFIGS;
}

}  // namespace

std::string before_built_in_configs(const std::string& folders) {
  const std::string built_in = built_in_configs();
  if (!fs::is_directory(built_in)) return folders;
  if (ConfigLibrary(folders).has_folder(built_in)) return folders;
  return folders.empty() ? built_in : folders + ":" + built_in;
}

std::string default_config_dir() {
  if (const char* configured = std::getenv("RONDO_CONFIGS")) {
    return before_built_in_configs(configured);
  }
  return before_built_in_configs(fs::is_directory("configs") ? "configs" : "");
}

std::vector<ConfigGroup> config_groups(const std::string& config_dir) {
  const ConfigLibrary library(config_dir);
  const std::vector<GroupChoice> chosen = read_config_file(library.main_file()).defaults;
  std::vector<ConfigGroup> groups;
  for (const std::string& name : library.groups()) {
    ConfigGroup group{name, {}};
    for (const std::string& option : library.options(name)) {
      const bool is_default =
          std::any_of(chosen.begin(), chosen.end(), [&](const GroupChoice& choice) {
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
  return ConfigLibrary(config_dir).options(group);
}

}  // namespace rondo
