#include "launcher/config/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>

#include "base/counted.h"
#include "base/user_error.h"
#include "launcher/config/codec.h"
#include "launcher/config/compose.h"
#include "launcher/config/schema.h"
#include "launcher/config/value.h"
#include "model/definition/attention_window.h"
#include "model/definition/families.h"
#include "model/definition/recurrence.h"
#include "training/pass_schedule.h"

namespace rondo {
namespace {

/// The numbers from 1 to `most` next to `value` that fit: "2 or 4", "4", or empty.
template <typename Fits>
std::string near_that(int64_t value, int64_t most, Fits fits) {
  int64_t below = std::min(value, most);
  while (below > 0 && !fits(below)) --below;
  int64_t above = std::max<int64_t>(value, 1);
  while (above <= most && !fits(above)) ++above;
  std::vector<int64_t> near;
  if (below > 0) near.push_back(below);
  if (above <= most && above != below) near.push_back(above);
  return fmt::format("{}", fmt::join(near, " or "));
}

/// The divisors of `number` next to `value`: "2 or 4".
std::string near_divisors(int64_t number, int64_t value) {
  return near_that(value, number, [=](int64_t divisor) { return number % divisor == 0; });
}

/// The positive multiples of `unit` next to `value`: "8 or 12".
std::string near_multiples(int64_t unit, int64_t value) {
  const int64_t below = value / unit * unit;
  if (below == 0) return fmt::format("{}", unit);
  return fmt::format("{} or {}", below, below + unit);
}

/// What must hold between keys; the message is placed at whichever of `keys` was written last.
struct Check {
  std::vector<std::string> keys;
  std::function<Complaint(const Config&)> complaint;
};

/// Whether so many heads are allowed by all other sizes.
bool splits_into(const ModelSpec& model, int64_t heads) {
  const bool even = model.hidden / heads % 2 == 0 || !block_parts(model).rotary;
  const bool grouped = model.kv_heads == 0 || heads % model.kv_heads == 0;
  return model.hidden % heads == 0 && even && grouped;
}

Complaint head_split(const Config& c) {
  const ModelSpec& model = c.model;
  if (model.head_dim != 0 || model.hidden % model.heads == 0) return std::nullopt;
  std::vector<std::string> cures;
  const std::string heads = near_that(model.heads, model.hidden,
                                      [&](int64_t count) { return splits_into(model, count); });
  if (!heads.empty()) cures.push_back("model.heads to " + heads);
  if (model.kv_heads == 0 || model.heads % model.kv_heads == 0) {
    const int64_t unit = block_parts(model).rotary ? 2 * model.heads : model.heads;
    cures.push_back("model.hidden to " + near_multiples(unit, model.hidden));
  }
  cures.emplace_back("model.head_dim");
  return fmt::format("model.heads = {} does not divide model.hidden = {}; set {}", model.heads,
                     model.hidden, fmt::join(cures, ", or set "));
}

Complaint even_head(const Config& c) {
  const int64_t size = c.model.head_dim != 0 ? c.model.head_dim : c.model.hidden / c.model.heads;
  if (size % 2 == 0 || !block_parts(c.model).rotary) return std::nullopt;
  return fmt::format(
      "model.head_dim = {} is odd, but rotary positions turn pairs; set it to {} or {}", size,
      std::max<int64_t>(size - 1, 2), std::max<int64_t>(size + 1, 4));
}

Complaint head_groups(const Config& c) {
  if (c.model.kv_heads == 0 || c.model.heads % c.model.kv_heads == 0) return std::nullopt;
  return fmt::format("model.kv_heads = {} does not divide model.heads = {}; set it to {}",
                     c.model.kv_heads, c.model.heads,
                     near_divisors(c.model.heads, c.model.kv_heads));
}

Complaint learned_positions(const Config& c) {
  const int64_t needed = block_parts(c.model).rotary ? 0 : c.data.sequence;
  if (needed == 0 && c.model.positions > 0) {
    return fmt::format("model.positions = {}: {} turns positions and learns none; set it to 0",
                       c.model.positions, c.model.family);
  }
  if (c.model.positions >= needed) return std::nullopt;
  return fmt::format(
      "model.positions = {} is less than data.sequence = {}, and {} learns a row for each "
      "position; set model.positions to {} or more",
      c.model.positions, needed, c.model.family, needed);
}

Complaint possible_window(const Config& c) {
  const auto fault = window_fault(c.model);
  return fault ? Complaint("model." + *fault) : std::nullopt;
}

Complaint whole_batches(const Config& c) {
  const bool open = c.train.micro_batch == 0;
  if (open || c.train.global_batch % c.train.micro_batch == 0) return std::nullopt;
  return fmt::format("train.micro_batch = {} does not divide train.global_batch = {}; set it to {}",
                     c.train.micro_batch, c.train.global_batch,
                     near_divisors(c.train.global_batch, c.train.micro_batch));
}

Complaint one_corpus(const Config& c) {
  if (c.data.path.empty() || c.data.blend.empty()) return std::nullopt;
  return "data.path and data.blend are both set; drop one with ~data.path or ~data.blend";
}

Complaint one_validation(const Config& c) {
  if (c.data.validation_path.empty() || c.data.validation == 0) return std::nullopt;
  return "data.validation and data.validation_path are both set; drop one with ~data.validation or "
         "~data.validation_path";
}

Complaint possible_sharing(const Config& c) {
  try {
    make_sharing_map(c.sharing, static_cast<int>(c.model.depth));
  } catch (const UserError& error) {
    return error.what();
  }
  return std::nullopt;
}

Complaint recurring_passes(const Config& c) {
  if (c.train.passes.empty() && c.train.backprop_passes == 0) return std::nullopt;
  const auto found = recurrence(make_sharing_map(c.sharing, static_cast<int>(c.model.depth)));
  if (!found) {
    return "train.passes and train.backprop_passes need layers that come again, as under "
           "sharing=cycle with a depth of several times sharing.unique";
  }
  if (c.train.backprop_passes > found->passes) {
    return fmt::format(
        "train.backprop_passes = {}: the model makes {} passes; set it to 1..{}, or 0 "
        "for all",
        c.train.backprop_passes, found->passes, found->passes);
  }
  const int highest = PassSchedule::parse(c.train.passes).highest();
  if (highest <= found->passes) return std::nullopt;
  return fmt::format(
      "train.passes = {}: the model makes {} passes at most; set it to uniform:1..{} "
      "or raise model.depth",
      c.train.passes, found->passes, found->passes);
}

Complaint taught_by_somebody(const Config& c) {
  const TrainConfig standard;
  if (!c.train.distill.empty() || (c.train.distill_weight == standard.distill_weight &&
                                   c.train.distill_temperature == standard.distill_temperature)) {
    return std::nullopt;
  }
  return "train.distill_weight and train.distill_temperature need a teacher: set train.distill to "
         "its checkpoint";
}

Complaint traced_step(const Config& c) {
  if (c.log.trace_step <= c.train.steps) return std::nullopt;
  return fmt::format("log.trace_step = {} is after the last step, train.steps = {}",
                     c.log.trace_step, c.train.steps);
}

std::vector<Check> checks() {
  return {
      {{"model.hidden", "model.heads", "model.head_dim"}, head_split},
      {{"model.hidden", "model.heads", "model.head_dim", "model.family"}, even_head},
      {{"model.kv_heads", "model.heads"}, head_groups},
      {{"model.family", "model.positions", "data.sequence"}, learned_positions},
      {{"model.window", "model.window_layers", "model.depth"}, possible_window},
      {{"train.micro_batch", "train.global_batch"}, whole_batches},
      {{"log.trace_step", "train.steps"}, traced_step},
      {{"train.distill", "train.distill_weight", "train.distill_temperature"}, taught_by_somebody},
      {{"data.path", "data.blend"}, one_corpus},
      {{"data.validation", "data.validation_path"}, one_validation},
      {{"model.depth", "sharing.strategy", "sharing.unique", "sharing.map", "sharing.prelude",
        "sharing.coda", "sharing.attention", "sharing.feed_forward", "sharing.norms"},
       possible_sharing},
      {{"model.depth", "sharing.strategy", "sharing.unique", "train.passes",
        "train.backprop_passes"},
       recurring_passes},
  };
}

bool is_about_model(const Check& check) {
  return std::any_of(check.keys.begin(), check.keys.end(), is_model_key);
}

void check_together(const Config& config, const ConfigEntries& entries, bool about_model) {
  for (const Check& check : checks()) {
    if (is_about_model(check) != about_model) continue;
    const auto& [keys, complaint] = check;
    const Complaint found = complaint(config);
    if (!found) continue;
    const auto last =
        std::max_element(keys.begin(), keys.end(), [&](const std::string& a, const std::string& b) {
          return entries.at(a).layer < entries.at(b).layer;
        });
    throw UserError(fmt::format("{}: {}", entries.at(*last).where, *found));
  }
}

/// Values that follow from others when the user leaves them out.
void derive(Config& config) {
  if (config.model.head_dim == 0) config.model.head_dim = config.model.hidden / config.model.heads;
  if (config.model.kv_heads == 0) config.model.kv_heads = config.model.heads;
  config.optimizer.rate.steps = config.train.steps;
}

}  // namespace

Config parse_config(const Resolved& resolved) {
  ConfigEntries entries = resolved.entries;
  entries.merge(config_defaults());
  Config config;
  // What was written comes first, so that a slip there is not hidden behind a key that is missing.
  for (const ConfigEntries& source : {resolved.entries, entries}) {
    for (const ConfigField& field : config_schema()) {
      const auto entry = source.find(field.key);
      if (entry != source.end()) field.read(entry->second, config);
    }
  }
  check_together(config, entries, /*about_model=*/false);
  if (config.train.init.empty()) check_together(config, entries, /*about_model=*/true);
  derive(config);
  return config;
}

void check_model(const Config& config, const ConfigEntries& entries) {
  ConfigEntries all = entries;
  all.merge(config_defaults());
  check_together(config, all, /*about_model=*/true);
}

void check_for_world(const Config& config, int world_size) {
  const int64_t pipeline = config.distributed.pipeline;
  if (pipeline == 0) return;  // the planner finds what divides
  if (world_size % pipeline != 0) {
    throw UserError(
        fmt::format("distributed.pipeline = {} does not divide the {} of this run; set it to {}{}",
                    pipeline, counted(world_size, "rank"), near_divisors(world_size, pipeline),
                    world_size > 1 ? "" : fmt::format(", or start mpirun -n {}", pipeline)));
  }
  const int64_t replicas = world_size / pipeline;
  const int64_t batch = config.train.global_batch;
  const int64_t micro = std::max<int64_t>(1, config.train.micro_batch);  // 0: one always divides
  if (batch % replicas != 0) {
    const std::string other_world =
        pipeline > 1
            ? ""
            : fmt::format(", or start {}", counted(near_divisors(batch / micro, replicas), "rank"));
    throw UserError(fmt::format("train.global_batch = {} does not divide over {}; set it to {}{}",
                                batch, counted(replicas, "data replica"),
                                near_multiples(replicas * micro, batch), other_world));
  }
  const int64_t share = batch / replicas;
  if (share % micro != 0) {
    throw UserError(fmt::format(
        "train.micro_batch = {} does not divide the {} of a replica (train.global_batch "
        "= {} over {}); set it to {}",
        micro, counted(share, "sequence"), batch, counted(replicas, "replica"),
        near_divisors(share, micro)));
  }
}

std::string to_toml(const Config& config) {
  std::string text;
  std::string table;
  for (const ConfigField& field : config_schema()) {
    if (table_of(field.key) != table) {
      table = table_of(field.key);
      text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", table);
    }
    text += fmt::format("{} = {}\n", leaf_of(field.key), toml_literal(field.write(config)));
  }
  return text;
}

}  // namespace rondo
