#include "launcher/config/config.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/counted.h"
#include "base/user_error.h"
#include "launcher/config/checks.h"
#include "launcher/config/compose.h"
#include "launcher/config/interpolate.h"
#include "launcher/config/near_values.h"
#include "launcher/config/schema.h"
#include "launcher/config/value.h"

namespace rondo {
namespace {

/// Values that follow from others when the user leaves them out.
void derive(Config& config) {
  if (config.model.head_dim == 0) config.model.head_dim = config.model.hidden / config.model.heads;
  if (config.model.kv_heads == 0) config.model.kv_heads = config.model.heads;
  config.optimizer.rate.steps = decay_end(config);
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

void check_ramp(const Config& config, int64_t unit) {
  const int64_t from = config.train.batch_ramp_from;
  if (from % unit == 0) return;
  throw UserError(
      fmt::format("train.batch_ramp_from = {} is no multiple of {}, a microbatch of every replica; "
                  "set it to {}",
                  from, unit, near_multiples(unit, from)));
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
  check_ramp(config, replicas * micro);
}

std::string to_toml(const Config& config) {
  std::string text;
  std::string table;
  for (const ConfigField& field : config_schema()) {
    if (table_of(field.key) != table) {
      table = table_of(field.key);
      text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", table);
    }
    text += fmt::format("{} = {}\n", leaf_of(field.key),
                        toml_literal(escape_references(field.write(config))));
  }
  return text;
}

}  // namespace rondo
