// The defaults lists of config files, and the layers that they ask for.
#pragma once

#include <string>
#include <vector>

#include "launcher/config/library.h"
#include "launcher/config/value.h"

namespace rondo {

/// The option that is chosen for a group, and who chose it. `_self_` in a defaults list, which says
/// where the file's own keys come, has no option.
struct GroupChoice {
  std::string group;
  std::string option;
  std::string where;
  bool by_default = true;  ///< and not by the user

  bool is_self() const { return option.empty(); }
};

/// A config file: its own keys, and its defaults list, in which `_self_` comes last unless it says
/// otherwise.
struct ConfigFile {
  ConfigEntries entries;
  std::vector<GroupChoice> defaults;
};

/// Throws UserError as parse_toml, and for a defaults list that is none.
ConfigFile read_config_file(const std::string& path);

/// Replaces the choice for the group in its place, or adds it after the others; a `_self_` at the
/// end stays there.
void choose(std::vector<GroupChoice>& choices, const GroupChoice& choice);

/// Lays what `choices` stand for over `entries`, in order; `own` are the keys for `_self_`. The
/// file of an option may have defaults of its own: one of a group in `choices` replaces that
/// choice, unless the user made it; one of its own group is what the file changes; another one is
/// added. All come before the file's keys, or after them where `_self_` says so. Returns the number
/// of layers. Throws UserError: unknown groups and options, circles, two files that choose for one
/// group.
int lay_over(ConfigEntries& entries, const ConfigLibrary& library, std::vector<GroupChoice> choices,
             const ConfigEntries& own);

}  // namespace rondo
