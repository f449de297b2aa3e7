#include "launcher/config/defaults.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>

#include "base/user_error.h"
#include "launcher/config/toml.h"

namespace rondo {
namespace {

constexpr const char* self = "_self_";

/// A second entry would be mixed with the first, key by key.
void check_first_of_group(const std::vector<GroupChoice>& choices, const GroupChoice& choice) {
  for (const GroupChoice& other : choices) {
    if (other.group != choice.group) continue;
    throw UserError(
        fmt::format("{}: defaults lists two options of the group {}: {} and {}; keep one",
                    choice.where, choice.group, other.option, choice.option));
  }
}

std::vector<GroupChoice> read_defaults(const ConfigEntry& entry) {
  const auto* list = std::get_if<ConfigValue::List>(&entry.value.data);
  const ConfigValue::List single = {entry.value};
  std::vector<GroupChoice> choices;
  for (const ConfigValue& item : list == nullptr ? single : *list) {
    const std::string text = plain_text(item);
    if (text == self) {
      choices.push_back({self, "", entry.where});
      continue;
    }
    const size_t slash = text.find('/');
    if (slash == std::string::npos) {
      throw UserError(
          fmt::format("{}: defaults lists \"group/option\", such as \"model/llama_tiny\", not {}",
                      entry.where, toml_literal(item)));
    }
    const GroupChoice choice{text.substr(0, slash), text.substr(slash + 1), entry.where};
    check_first_of_group(choices, choice);
    choices.push_back(choice);
  }
  const bool has_self = std::any_of(choices.begin(), choices.end(),
                                    [](const GroupChoice& choice) { return choice.is_self(); });
  if (!has_self) choices.push_back({self, "", entry.where});
  return choices;
}

auto of_group(std::vector<GroupChoice>& choices, const std::string& group) {
  return std::find_if(choices.begin(), choices.end(),
                      [&](const GroupChoice& other) { return other.group == group; });
}

ConfigFile file_of(const ConfigLibrary& library, const GroupChoice& choice) {
  return read_config_file(library.option_file(choice.group, choice.option, choice.where));
}

/// The first choice of a file that is still to be put in place of one in `choices`. Throws
/// UserError for two files that choose for one group.
std::optional<GroupChoice> next_choice_of_files(const ConfigLibrary& library,
                                                std::vector<GroupChoice>& choices) {
  std::map<std::string, GroupChoice> made;  // by group
  for (const GroupChoice& chooser : choices) {
    if (chooser.is_self()) continue;
    for (const GroupChoice& wanted : file_of(library, chooser).defaults) {
      const auto place = of_group(choices, wanted.group);
      if (wanted.is_self() || wanted.group == chooser.group || place == choices.end()) continue;
      const auto [before, first] = made.emplace(wanted.group, wanted);
      if (!first && before->second.option != wanted.option) {
        throw UserError(fmt::format("{}: defaults chooses {}/{}, and {} chooses {}; keep one",
                                    wanted.where, wanted.group, wanted.option, before->second.where,
                                    before->second.option));
      }
      if (!place->by_default || place->option == wanted.option) continue;
      return GroupChoice{wanted.group, wanted.option, wanted.where, chooser.by_default};
    }
  }
  return std::nullopt;
}

/// Puts what files choose for the groups of `choices` in place there. A file that is put in place
/// may itself choose.
void adopt_choices_of_files(const ConfigLibrary& library, std::vector<GroupChoice>& choices) {
  constexpr int most = 100;
  for (int made = 0; const auto next = next_choice_of_files(library, choices); ++made) {
    if (made == most) {
      throw UserError(fmt::format("{}: defaults go in a circle, through {}/{}", next->where,
                                  next->group, next->option));
    }
    choose(choices, *next);
  }
}

class Layers {
 public:
  Layers(const ConfigLibrary& library, const std::vector<GroupChoice>& choices,
         ConfigEntries& entries)
      : library_(library), choices_(choices), entries_(entries) {}

  void add(const ConfigEntries& own, bool chosen) { overlay(entries_, own, count_++, chosen); }

  void add_option(const GroupChoice& choice) {
    const std::string path = library_.option_file(choice.group, choice.option, choice.where);
    if (std::find(open_.begin(), open_.end(), path) != open_.end()) {
      throw UserError(fmt::format("{}: defaults go in a circle: {} -> {}", choice.where,
                                  fmt::join(open_, " -> "), path));
    }
    open_.push_back(path);
    const ConfigFile file = read_config_file(path);
    for (const GroupChoice& wanted : file.defaults) {
      if (wanted.is_self()) {
        add(file.entries, !choice.by_default);
      } else if (wanted.group == choice.group || !stands_elsewhere(wanted)) {
        add_option({wanted.group, wanted.option, wanted.where, choice.by_default});
      }
    }
    open_.pop_back();
  }

  int count() const { return count_; }

 private:
  bool stands_elsewhere(const GroupChoice& wanted) const {
    return std::any_of(choices_.begin(), choices_.end(),
                       [&](const GroupChoice& other) { return other.group == wanted.group; });
  }

  const ConfigLibrary& library_;
  const std::vector<GroupChoice>& choices_;
  ConfigEntries& entries_;
  std::vector<std::string> open_;  ///< files whose layers are being added, outermost first
  int count_ = 0;
};

}  // namespace

ConfigFile read_config_file(const std::string& path) {
  ConfigFile file{parse_toml_file(path), {}};
  const auto list = file.entries.extract("defaults");
  if (!list) return {file.entries, {{self, "", path}}};
  file.defaults = read_defaults(list.mapped());
  return file;
}

void choose(std::vector<GroupChoice>& choices, const GroupChoice& choice) {
  const auto same = of_group(choices, choice.group);
  if (same != choices.end()) {
    *same = choice;
    return;
  }
  const bool self_is_last = !choices.empty() && choices.back().is_self();
  choices.insert(choices.end() - (self_is_last ? 1 : 0), choice);
}

int lay_over(ConfigEntries& entries, const ConfigLibrary& library, std::vector<GroupChoice> choices,
             const ConfigEntries& own) {
  adopt_choices_of_files(library, choices);
  Layers layers(library, choices, entries);
  for (const GroupChoice& choice : choices) {
    if (choice.is_self()) {
      layers.add(own, /*chosen=*/true);
    } else {
      layers.add_option(choice);
    }
  }
  return layers.count();
}

}  // namespace rondo
