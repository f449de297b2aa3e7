// From TOML files and command line overrides to one resolved set of keys, in the way of Hydra.
//
// A config folder holds `rondo.toml` and one folder per group: model/, sharing/, data/, optimizer/,
// distributed/, cluster/, run/. Every file spells out the tables that it sets. `defaults` in
// rondo.toml lists the option of each group ("model/llama_tiny"). Later layers win:
// the groups in that order, rondo.toml's own keys, the overrides from left to right. A file of a
// group may have `defaults`, too: so an experiment is one file that chooses other files.
#pragma once

#include <ctime>
#include <string>
#include <vector>

#include "launcher/config/value.h"

namespace rondo {

/// All keys that were set, with interpolations replaced and with their provenance. Every key is one
/// that the schema knows; types and values are checked by `parse_config`.
struct Resolved {
  ConfigEntries entries;
};

/// `config_dir` is a config folder, or several with ':' between them: the first that has a file
/// wins, so that a user's folder may add options to the groups of another. Overrides:
///   group=option   chooses a group's file          a.b=v, +a.b=v   sets a key
///   ~a.b           back to the default value; ~group or ~table drops all of it
/// `${a.b}` inside a value stands for the value of another key: alone it keeps the type, inside
/// text it is text. Throws UserError: a folder that is not there, unknown group, option or key,
/// syntax, cycles.
/// `now` is what ${now:FORMAT} writes; see interpolate.h for other references.
Resolved compose(const std::string& config_dir, const std::vector<std::string>& overrides,
                 std::time_t now = std::time(nullptr));

/// Reads config text back, e.g. that of a checkpoint. `origin` names it in messages.
Resolved resolved_from_toml(const std::string& text, const std::string& origin);

/// The whole config as TOML text, defaults and derived values included, which reads back to the
/// same Config. Throws UserError as `parse_config`.
std::string to_toml(const Resolved& resolved);

/// `folders` (joined by ':') in front of the configs that belong to rondo.
std::string before_built_in_configs(const std::string& folders);

/// $RONDO_CONFIGS, without it ./configs, if there is one, in front of the configs of rondo.
std::string default_config_dir();

/// One file of a group.
struct GroupOption {
  std::string name;
  std::string about;  ///< the first sentence of the comment that the file begins with
  bool is_default = false;
};

struct ConfigGroup {
  std::string name;
  std::vector<GroupOption> options;
};

/// Every group of `config_dir`, sorted like the options of each.
std::vector<ConfigGroup> config_groups(const std::string& config_dir);

/// Options of `group`, sorted; none when there is no such group.
std::vector<std::string> config_options(const std::string& config_dir, const std::string& group);

/// `--multirun`: "a=1,2" "b=x,y" gives the override lists of 4 runs; the last varies fastest.
/// `choice(1,2)` and `range(start,stop,step)`, without stop, are such lists, too. Commas inside
/// brackets or quotes do not split. Throws UserError for what is no override.
std::vector<std::vector<std::string>> expand_multirun(const std::vector<std::string>& overrides);

}  // namespace rondo
