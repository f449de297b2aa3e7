#include "launcher/config/stored.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "base/user_error.h"
#include "launcher/config/interpolate.h"
#include "launcher/config/schema.h"
#include "launcher/config/toml.h"

namespace rondo {
namespace {

bool gives_map(const SharingOptions& options, const SharingMap& map) {
  try {
    return make_sharing_map(options, map.depth()) == map;
  } catch (const UserError&) {
    return false;
  }
}

/// The entries of a checkpoint's config, `where` of which begins with `file`.
ConfigEntries stored_entries(const std::string& text, const std::string& file) {
  ConfigEntries entries = parse_toml(text, file);
  for (auto& [key, entry] : entries) entry.value = unescape_references(entry.value);
  return entries;
}

/// The keys of a checkpoint's config that `counts` holds for; what another version knew of is
/// passed over.
template <typename Counts>
Config read_stored(const std::string& text, const std::string& file, Counts counts) {
  Config config;
  const ConfigEntries entries = stored_entries(text, file);
  for (const ConfigField& field : config_schema()) {
    const auto entry = entries.find(field.key);
    if (counts(field.key) && entry != entries.end()) field.read(entry->second, config);
  }
  return config;
}

/// That key of the text alone.
Config read_key(const std::string& text, const std::string& key) {
  return read_stored(text, "stored config", [&](const std::string& other) { return other == key; });
}

/// Keys for the map: those that the checkpoint's run was started with, or else the map of its
/// blocks written out.
SharingOptions sharing_keys(const StoredModel& stored) {
  const Config config = read_stored(stored.config, stored.file, is_model_key);
  if (gives_map(config.sharing, stored.model.sharing)) return config.sharing;
  return {.strategy = "explicit", .map = stored.model.sharing.of(Slot::attention)};
}

/// Throws for the last of the keys that the user wrote for another model than the adopted one.
void check_nothing_else_is_asked_for(const Config& adopted, const Resolved& resolved, bool same_map,
                                     const std::string& file) {
  int last = -1;
  std::string complaint;
  for (const ConfigField& field : config_schema()) {
    const auto found = resolved.entries.find(field.key);
    if (!is_model_key(field.key) || found == resolved.entries.end()) continue;
    const ConfigEntry& entry = found->second;
    Config asked = adopted;
    field.read(entry, asked);
    const std::string value = toml_literal(field.write(adopted));
    const bool fits =
        table_of(field.key) == "sharing" ? same_map : toml_literal(field.write(asked)) == value;
    if (fits || !entry.chosen || entry.layer < last) continue;
    last = entry.layer;
    complaint = fmt::format(
        "{}: with train.init the model of {} stands, where {} = {}; drop the key, or make another "
        "model of it with rondo convert",
        entry.where, file, field.key, value);
  }
  if (!complaint.empty()) throw UserError(complaint);
}

/// The rate that a stored config asks for.
RateSchedule rate_in(const std::string& text) {
  Config config = read_stored(text, "stored config", [](const std::string& key) {
    return table_of(key) == "optimizer" || key == "train.steps";
  });
  config.optimizer.rate.steps = decay_end(config);
  return config.optimizer.rate;
}

/// Whether two schedules agree on every step after `step`.
bool same_rates(const RateSchedule& a, const RateSchedule& b, int64_t step) {
  for (const int64_t last = std::max(a.steps, b.steps); step < last; ++step) {
    if (a.at(step + 1) != b.at(step + 1)) return false;
  }
  return true;
}

/// "train.seed 0 -> 9" for those of `changed_keys` that decide nothing after `step`.
std::vector<std::string> idle_changes(const std::string& stored, const Config& config,
                                      int64_t step) {
  const ConfigEntries before = stored_entries(stored, "stored config");
  const auto decides_nothing = [&](const ConfigField& field, const ConfigEntry& old) {
    if (field.key == "train.seed") return !config.data.shuffle && config.train.passes.empty();
    if (field.key == "train.steps") return false;
    Config unchanged = config;
    field.read(old, unchanged);
    unchanged.optimizer.rate.steps = decay_end(unchanged);
    const RateSchedule& rate = config.optimizer.rate;
    const RateSchedule& other = unchanged.optimizer.rate;
    return !(rate == other) && same_rates(rate, other, step);
  };
  std::vector<std::string> idle;
  for (const ConfigField& field : config_schema()) {
    const auto old = before.find(field.key);
    const std::string is = toml_literal(field.write(config));
    if (old == before.end() || toml_literal(old->second.value) == is) continue;
    if (is_model_key(field.key) || !decides_nothing(field, old->second)) continue;
    idle.push_back(fmt::format("{} {} -> {}", field.key, toml_literal(old->second.value), is));
  }
  return idle;
}

}  // namespace

void adopt_model(Config& config, const Resolved& resolved, const StoredModel& stored) {
  const bool same_map = gives_map(config.sharing, stored.model.sharing);
  Config adopted = config;
  adopted.model = stored.model.spec;
  adopted.relaxation_rank = stored.model.relaxation_rank;
  adopted.sharing = sharing_keys(stored);
  check_nothing_else_is_asked_for(adopted, resolved, same_map, stored.file);
  ConfigEntries places = resolved.entries;
  std::erase_if(places, [](const auto& item) { return is_model_key(item.first); });
  check_model(adopted, places);
  config = adopted;
}

std::vector<std::string> changed_keys(const std::string& stored, const Config& config) {
  constexpr std::array<std::string_view, 3> ignored = {"checkpoint", "log", "cluster"};
  const ConfigEntries before = stored_entries(stored, "stored config");
  std::vector<std::string> changes;
  for (const ConfigField& field : config_schema()) {
    const bool counts = !is_model_key(field.key) && std::find(ignored.begin(), ignored.end(),
                                                              table_of(field.key)) == ignored.end();
    const auto old = before.find(field.key);
    if (!counts || old == before.end()) continue;
    const std::string was = toml_literal(old->second.value);
    const std::string is = toml_literal(field.write(config));
    if (was != is) changes.push_back(fmt::format("{} {} -> {}", field.key, was, is));
  }
  return changes;
}

void check_changes_count(const Config& config, const std::string& stored, int64_t step,
                         const std::string& file) {
  const bool over = step >= config.train.steps;
  std::vector<std::string> changes =
      over ? changed_keys(stored, config) : idle_changes(stored, config, step);
  // The same file may have two names; that it is the same is checked where it is looked for.
  std::erase_if(changes, [](const std::string& text) { return text.starts_with("train.init "); });
  if (changes.empty()) return;
  const std::string left =
      over ? "no step is left to do" : "nothing that they decide is left to do";
  throw UserError(fmt::format(
      "{} is of step {} of {}: {}, so that other values than the file's would have no effect: {}; "
      "drop them, {}choose another log.dir to start anew",
      file, step, config.train.steps, left, fmt::join(changes, ", "),
      over ? "raise train.steps, or " : "or "));
}

std::string rate_jump(const Config& config, const std::string& stored, int64_t step) {
  const double now = config.optimizer.rate.at(step + 1);
  const double before = rate_in(stored).at(step + 1);
  if (step >= config.train.steps || std::abs(now - before) <= 1e-9 * std::abs(before)) return "";
  return fmt::format(
      "warning: the rate of step {} is {:.4g}; it was {:.4g} at step {}, and would be {:.4g} with "
      "the keys that the checkpoint was written with\n",
      step + 1, now, rate_in(stored).at(std::max<int64_t>(step, 1)), step, before);
}

std::string init_in(const std::string& stored) { return read_key(stored, "train.init").train.init; }

Config reading_in(const std::string& stored) {
  return read_stored(stored, "stored config", [](const std::string& key) {
    return table_of(key) == "data" || key == "train.seed" || key == "train.global_batch";
  });
}

int64_t sequence_in(const std::string& stored) {
  return read_key(stored, "data.sequence").data.sequence;
}

}  // namespace rondo
