#include "launcher/config/checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/user_error.h"
#include "launcher/config/codec.h"
#include "launcher/config/near_values.h"
#include "launcher/config/schema.h"
#include "model/definition/attention_window.h"
#include "model/definition/families.h"
#include "model/definition/recurrence.h"
#include "training/pass_schedule.h"

namespace rondo {
namespace {

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
  if (c.data.validation_paths.empty() || c.data.validation == 0) return std::nullopt;
  return "data.validation and data.validation_path are both set; drop one with ~data.validation or "
         "~data.validation_path";
}

Complaint distinct_validation(const Config& c) {
  std::vector<std::string> paths = c.data.validation_paths;
  std::sort(paths.begin(), paths.end());
  const auto twice = std::adjacent_find(paths.begin(), paths.end());
  if (twice == paths.end()) return std::nullopt;
  return fmt::format("data.validation_path names {} twice; drop one", *twice);
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

/// A key that decides something under another one only.
struct Dependent {
  std::string key;
  std::string partner;
  bool (*counts)(const Config&);
  std::string needs;  ///< how to give it an effect
};

bool holds_out(const Config& c) {
  return c.data.validation > 0 || !c.data.validation_paths.empty();
}

const std::vector<Dependent>& dependents() {
  const auto is_taught = [](const Config& c) { return !c.train.distill.empty(); };
  const auto skips = [](const Config& c) { return c.control.on_nonfinite == "skip"; };
  const auto rewinds = [](const Config& c) { return c.control.on_spike == "rewind"; };
  const auto is_trapezoid = [](const Config& c) {
    return c.optimizer.rate.schedule == "trapezoid";
  };
  const auto has_end = [](const Config& c) {
    const std::string& shape = c.optimizer.rate.schedule;
    return shape != "constant" && shape != "inverse_sqrt";
  };
  const std::string teacher = "a teacher: set train.distill to its checkpoint";
  static const std::vector<Dependent> table = {
      {"train.distill_weight", "train.distill", is_taught, teacher},
      {"train.distill_temperature", "train.distill", is_taught, teacher},
      {"train.nonfinite_limit", "train.on_nonfinite", skips, "train.on_nonfinite=skip"},
      {"train.spike_sigmas", "train.on_spike", rewinds, "train.on_spike=rewind"},
      {"train.max_rewinds", "train.on_spike", rewinds, "train.on_spike=rewind"},
      {"optimizer.decay_share", "optimizer.schedule", is_trapezoid, "optimizer.schedule=trapezoid"},
      {"optimizer.decay_steps", "optimizer.schedule", has_end,
       "a rate whose decay ends: optimizer.schedule=cosine, linear or trapezoid"},
      {"checkpoint.keep_best", "data.validation", holds_out,
       "held-out tokens: set data.validation or data.validation_path"},
  };
  return table;
}

/// The text of the key's value.
std::string text_of(const std::string& key, const Config& config) {
  const std::vector<ConfigField>& fields = config_schema();
  const auto field = std::find_if(fields.begin(), fields.end(),
                                  [&](const ConfigField& other) { return other.key == key; });
  return toml_literal(field->write(config));
}

Check check_of(const Dependent& dependent) {
  return {{dependent.key, dependent.partner}, [dependent](const Config& c) -> Complaint {
            const std::string value = text_of(dependent.key, c);
            if (dependent.counts(c) || value == text_of(dependent.key, Config{})) {
              return std::nullopt;
            }
            return fmt::format("{} = {} needs {}", dependent.key, value, dependent.needs);
          }};
}

Complaint whole_ramp(const Config& c) {
  const auto& [from, steps] = std::pair(c.train.batch_ramp_from, c.train.batch_ramp_steps);
  if ((from == 0) != (steps == 0)) {
    return "train.batch_ramp_from and train.batch_ramp_steps go together; set both, or none";
  }
  const int64_t full = c.train.global_batch;
  if (from == 0 || (from < full && full % from == 0)) return std::nullopt;
  return fmt::format("train.batch_ramp_from = {} must divide train.global_batch = {}, and be less",
                     from, full);
}

Complaint decay_after_warmup(const Config& c) {
  const int64_t end = c.optimizer.decay_steps;
  if (end == 0 || end > c.optimizer.rate.warmup) return std::nullopt;
  return fmt::format("optimizer.decay_steps = {} must be above optimizer.warmup = {}", end,
                     c.optimizer.rate.warmup);
}

Complaint early_exit(const Config& c) {
  if (c.control.exit_at_step < c.train.steps) return std::nullopt;
  return fmt::format("train.exit_at_step = {} is not before the last step, train.steps = {}",
                     c.control.exit_at_step, c.train.steps);
}

Complaint rewind_to(const Config& c) {
  if (c.control.on_spike != "rewind" || c.checkpoint.every > 0) return std::nullopt;
  return "train.on_spike = \"rewind\" goes back to checkpoints; set checkpoint.every";
}

Complaint traced_step(const Config& c) {
  if (c.log.trace_step <= c.train.steps) return std::nullopt;
  return fmt::format("log.trace_step = {} is after the last step, train.steps = {}",
                     c.log.trace_step, c.train.steps);
}

std::vector<Check> checks() {
  std::vector<Check> all = {
      {{"model.hidden", "model.heads", "model.head_dim"}, head_split},
      {{"model.hidden", "model.heads", "model.head_dim", "model.family"}, even_head},
      {{"model.kv_heads", "model.heads"}, head_groups},
      {{"model.family", "model.positions", "data.sequence"}, learned_positions},
      {{"model.window", "model.window_layers", "model.depth"}, possible_window},
      {{"train.micro_batch", "train.global_batch"}, whole_batches},
      {{"log.trace_step", "train.steps"}, traced_step},
      {{"train.batch_ramp_from", "train.batch_ramp_steps", "train.global_batch"}, whole_ramp},
      {{"optimizer.decay_steps", "optimizer.warmup"}, decay_after_warmup},
      {{"train.exit_at_step", "train.steps"}, early_exit},
      {{"train.on_spike", "checkpoint.every"}, rewind_to},
      {{"data.path", "data.blend"}, one_corpus},
      {{"data.validation", "data.validation_path"}, one_validation},
      {{"data.validation_path"}, distinct_validation},
      {{"model.depth", "sharing.strategy", "sharing.unique", "sharing.map", "sharing.prelude",
        "sharing.coda", "sharing.attention", "sharing.feed_forward", "sharing.norms"},
       possible_sharing},
      {{"model.depth", "sharing.strategy", "sharing.unique", "train.passes",
        "train.backprop_passes"},
       recurring_passes},
  };
  for (const Dependent& dependent : dependents()) all.push_back(check_of(dependent));
  return all;
}

bool is_about_model(const Check& check) {
  return std::any_of(check.keys.begin(), check.keys.end(), is_model_key);
}

}  // namespace

void check_together(const Config& config, const ConfigEntries& entries, bool about_model) {
  for (const Check& check : checks()) {
    if (is_about_model(check) != about_model) continue;
    const auto& [keys, complaint] = check;
    const Complaint found = complaint(config);
    if (!found) continue;
    // Who set one of them last is told; in one file the place of the key that the complaint names.
    const auto order = [&](const std::string& key) {
      return std::pair(entries.at(key).layer, found->starts_with(key + " "));
    };
    const auto last = std::max_element(
        keys.begin(), keys.end(),
        [&](const std::string& a, const std::string& b) { return order(a) < order(b); });
    throw UserError(fmt::format("{}: {}", entries.at(*last).where, *found));
  }
}

}  // namespace rondo
