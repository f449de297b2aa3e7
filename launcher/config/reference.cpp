#include "launcher/config/reference.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <vector>

#include "base/nearest.h"
#include "base/user_error.h"
#include "launcher/config/compose.h"
#include "launcher/config/schema.h"

namespace rondo {
namespace {

/// A key with what a run without overrides has for it.
struct Entry {
  const ConfigField* field;
  std::string value;    ///< TOML
  std::string group;    ///< "optimizer=adamw" that sets it; empty where it is the schema's default
  std::string without;  ///< the schema's default
};

/// A table of the config, or a group without a table of its name.
struct Section {
  std::string name;
  std::vector<GroupOption> options;
  std::vector<Entry> entries;
};

/// "configs/optimizer/adamw.toml:3" → "optimizer=adamw"
std::string group_at(const std::string& where) {
  const std::filesystem::path file = where.substr(0, where.rfind(".toml"));
  return fmt::format("{}={}", file.parent_path().filename().string(), file.filename().string());
}

std::vector<Section> sections(const std::string& config_dir) {
  const ConfigEntries chosen = compose(config_dir, {}).entries;
  std::vector<Section> all;
  const auto section = [&](const std::string& name) -> Section& {
    const auto found = std::find_if(all.begin(), all.end(),
                                    [&](const Section& other) { return other.name == name; });
    return found == all.end() ? all.emplace_back(Section{name, {}, {}}) : *found;
  };
  for (const ConfigField& field : config_schema()) {
    Entry entry{&field, "", "", toml_literal(field.write(Config{}))};
    const auto set = chosen.find(field.key);
    entry.value = set == chosen.end() ? entry.without : toml_literal(set->second.value);
    if (entry.value != entry.without) entry.group = group_at(set->second.where);
    section(table_of(field.key)).entries.push_back(entry);
  }
  for (const ConfigGroup& group : config_groups(config_dir)) {
    section(group.name).options = group.options;
  }
  return all;
}

bool matches(const std::string& key, const std::string& prefix) {
  return key.starts_with(prefix) || leaf_of(key) == prefix;
}

/// What is left of the sections after a prefix; a table's own name takes all of it.
std::vector<Section> matching(std::vector<Section> all, const std::string& prefix) {
  for (Section& section : all) {
    if (section.name.starts_with(prefix)) continue;
    section.options.clear();
    std::erase_if(section.entries,
                  [&](const Entry& entry) { return !matches(entry.field->key, prefix); });
  }
  std::erase_if(all, [](const Section& section) {
    return section.options.empty() && section.entries.empty();
  });
  return all;
}

[[noreturn]] void refuse(const std::vector<Section>& all, const std::string& prefix) {
  std::vector<std::string> known = config_keys();
  std::vector<std::string> names;
  for (const Section& section : all) names.push_back(section.name);
  known.insert(known.end(), names.begin(), names.end());
  throw UserError(fmt::format("--help-config {}: no group or key starts with that;{} tables: {}",
                              prefix, did_you_mean(prefix, known, " "), fmt::join(names, ", ")));
}

/// `text` in lines of at most `width` columns, each after `indent` blanks.
std::string wrapped(const std::string& text, int width, int indent) {
  const std::string blanks(static_cast<size_t>(indent), ' ');
  std::istringstream words(text);
  std::string lines;
  std::string line = blanks;
  for (std::string word; words >> word;) {
    const bool begins = line.size() == blanks.size();
    if (!begins && line.size() + 1 + word.size() > static_cast<size_t>(width)) {
      lines += line + "\n";
      line = blanks + word;
    } else {
      line += (begins ? "" : " ") + word;
    }
  }
  return lines + line + "\n";
}

/// "an integer, at least 1, in steps"
std::string value_of(const ConfigField& field) {
  std::string text = field.type;
  if (!field.allowed.empty()) {
    text += (field.type == "text" || field.type == "a path" ? ": " : ", ") + field.allowed;
  }
  return field.unit.empty() ? text : fmt::format("{}; in {}", text, field.unit);
}

std::string in_terminal(const Section& section, int width) {
  std::string text = fmt::format("[{}]\n", section.name);
  for (const GroupOption& option : section.options) {
    text += fmt::format("  {}={}{}\n", section.name, option.name,
                        option.is_default ? "  (unless another is chosen)" : "");
    text += wrapped(option.about, width, 6);
  }
  if (!section.options.empty()) text += "\n";
  for (const Entry& entry : section.entries) {
    text += fmt::format("  {} = {}\n", entry.field->key, entry.value);
    text += wrapped(entry.field->about, width, 6);
    const std::string source =
        entry.group.empty() ? "" : fmt::format("; set by {}, else {}", entry.group, entry.without);
    text += wrapped(value_of(*entry.field) + source, width, 6);
  }
  return text;
}

/// `text` inside a cell of a Markdown table.
std::string cell(std::string text) {
  for (size_t at = text.find('|'); at != std::string::npos; at = text.find('|', at + 2)) {
    text.replace(at, 1, "\\|");
  }
  return text;
}

std::string in_markdown(const Section& section) {
  std::string text = fmt::format("\n## {}\n", section.name);
  if (!section.options.empty()) {
    text += fmt::format("\n| `{}=` | |\n| --- | --- |\n", section.name);
    for (const GroupOption& option : section.options) {
      text += fmt::format("| `{}`{} | {} |\n", option.name, option.is_default ? " (default)" : "",
                          cell(option.about));
    }
  }
  if (section.entries.empty()) return text;
  text += "\n| key | default | value | |\n| --- | --- | --- | --- |\n";
  for (const Entry& entry : section.entries) {
    const std::string source =
        entry.group.empty() ? ""
                            : fmt::format(" by `{}`, else `{}`", entry.group, cell(entry.without));
    text += fmt::format("| `{}` | `{}`{} | {} | {} |\n", entry.field->key, cell(entry.value),
                        source, cell(value_of(*entry.field)), cell(entry.field->about));
  }
  return text;
}

}  // namespace

std::string config_reference(const std::string& config_dir, const std::string& prefix, int width) {
  const std::vector<Section> all = sections(config_dir);
  const std::vector<Section> found = matching(all, prefix);
  if (found.empty()) refuse(all, prefix);
  std::string text;
  for (const Section& section : found) {
    if (!text.empty()) text += "\n";
    text += in_terminal(section, width);
  }
  return text;
}

std::string config_page(const std::string& config_dir) {
  std::string text = R"(# Configuration

Every key of `rondo train` and `rondo plan`. `group=option` chooses a file of a group, `table.key=value` sets a key,
`~table.key` puts one back to its default; later words win. `rondo train --cfg …` prints what comes out, and
`rondo train --help-config PREFIX` a part of this page, which is written by
`build/rondo train --help-config=markdown > docs/configuration.md`.
)";
  for (const Section& section : sections(config_dir)) text += in_markdown(section);
  return text;
}

}  // namespace rondo
