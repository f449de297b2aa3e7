// The resolved configuration becomes typed values, and they become text again.
#pragma once

#include <cstdint>
#include <string>

#include "launcher/config/value.h"
#include "training/config.h"

namespace rondo {

struct Resolved;

/// Types and checks every key; with `train.init` not whether those of the model go together, since
/// the checkpoint's stand: see adopt_model. `model.kv_heads` and `model.head_dim` that are absent
/// (or 0) are filled in, `optimizer.rate.steps` is
/// where its decay ends. Throws UserError with the place
/// of the value: wrong type, impossible value, values that do not go together.
Config parse_config(const Resolved& resolved);

/// Throws UserError, placed by `entries`, when the model's keys do not go together, or not with the
/// others.
void check_model(const Config& config, const ConfigEntries& entries);

/// Throws UserError when `config` cannot run on `world_size` ranks, with values that can.
void check_for_world(const Config& config, int world_size);

/// Throws UserError when a ramp of the batch does not begin with whole microbatches of all
/// replicas, `unit` sequences.
void check_ramp(const Config& config, int64_t unit);

/// The config as TOML text with every key, tables in schema order.
std::string to_toml(const Config& config);

}  // namespace rondo
