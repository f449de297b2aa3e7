#include "launcher/config/schema.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/user_error.h"
#include "launcher/config/codec.h"
#include "launcher/config/nearest.h"
#include "model/definition/families.h"
#include "training/pass_schedule.h"

namespace rondo {
namespace {

/// What is possible beyond the type.
using Rule = std::function<Complaint(const ConfigValue&)>;

Complaint anything(const ConfigValue&) { return std::nullopt; }

Complaint not_empty(const ConfigValue& value) {
  return plain_text(value).empty() ? Complaint("must not be empty") : std::nullopt;
}

/// Holds for every number in the value, those inside lists included.
Rule every_number(std::function<bool(double)> fits, const std::string& complaint) {
  return [=](const ConfigValue& value) -> Complaint {
    if (const auto* list = std::get_if<ConfigValue::List>(&value.data)) {
      const Rule rule = every_number(fits, complaint);
      for (const ConfigValue& item : *list) {
        if (const Complaint found = rule(item)) return found;
      }
      return std::nullopt;
    }
    double number = 0;
    if (read_value(value, number) || (std::isfinite(number) && fits(number))) return std::nullopt;
    return complaint;
  };
}

Rule at_least(double low) {
  return every_number([=](double x) { return x >= low; }, fmt::format("must be at least {}", low));
}

/// A count of things that memory must hold: products of a few stay far from overflow.
Rule count() {
  constexpr double most = 1 << 24;
  return [=](const ConfigValue& value) -> Complaint {
    if (const Complaint found = at_least(1)(value)) return found;
    return every_number([=](double x) { return x <= most; },
                        fmt::format("must be at most {}", most))(value);
  };
}

Rule positive() {
  return every_number([](double x) { return x > 0; }, "must be greater than 0");
}

Rule within(double low, double high) {
  return every_number([=](double x) { return x >= low && x <= high; },
                      fmt::format("must lie in [{}, {}]", low, high));
}

/// [0, 1)
Rule fraction() {
  return every_number([](double x) { return x >= 0 && x < 1; }, "must lie in [0, 1)");
}

/// One of a few values, written as they appear in messages.
Rule one_of(std::vector<std::string> allowed) {
  return [=](const ConfigValue& value) -> Complaint {
    const std::string text = plain_text(value);
    if (std::find(allowed.begin(), allowed.end(), text) != allowed.end()) return std::nullopt;
    return fmt::format("did you mean {}? possible: {}", nearest(text, allowed),
                       fmt::join(allowed, ", "));
  };
}

/// The name in front of the ':' of "cycle:4" is that of a strategy. The map itself is checked
/// later.
Complaint strategy(const ConfigValue& value) {
  const auto name_of = [](const std::string& text) { return text.substr(0, text.find(':')); };
  const std::vector<std::string> known = sharing_strategies();
  const std::string text = plain_text(value);
  const bool exists = std::any_of(known.begin(), known.end(), [&](const std::string& candidate) {
    return name_of(candidate) == name_of(text);
  });
  if (exists) return std::nullopt;
  return fmt::format("did you mean {}? possible: {}", nearest(text, known), fmt::join(known, ", "));
}

Complaint strategy_or_empty(const ConfigValue& value) {
  return plain_text(value).empty() ? std::nullopt : strategy(value);
}

Complaint schedule(const ConfigValue& value) {
  if (is_schedule_file(plain_text(value))) return std::nullopt;
  const Complaint complaint =
      one_of({"auto", "gpipe", "1f1b", "interleaved", "zero_bubble"})(value);
  if (!complaint) return std::nullopt;
  return *complaint + ", or a file that ends in .csv";
}

Complaint pass_schedule(const ConfigValue& value) {
  try {
    PassSchedule::parse(plain_text(value));
  } catch (const UserError& error) {
    return error.what();
  }
  return std::nullopt;
}

/// `access(config)` gives the member, const or not.
template <typename Access>
ConfigField field(const std::string& key, const Rule& rule, Access access) {
  const auto write = [=](const Config& config) { return write_value(access(config)); };
  const auto read = [=](const ConfigEntry& entry, Config& config) {
    auto&& member = access(config);
    Complaint complaint = read_value(entry.value, member);
    if (!complaint) complaint = rule(entry.value);
    if (!complaint) return;
    const bool is_missing =
        !entry.chosen && toml_literal(entry.value) == toml_literal(write(Config{}));
    if (is_missing) {
      throw UserError(
          fmt::format("{}: {} is required and {}; set it", entry.where, key, *complaint));
    }
    throw UserError(
        fmt::format("{}: {} = {}: {}", entry.where, key, toml_literal(entry.value), *complaint));
  };
  return {key, read, write};
}

/// A count, or "auto": 0 stands for what is open.
template <typename Access>
ConfigField open_count(const std::string& key, Access access) {
  const ConfigField number = field(key, at_least(0), access);
  const auto read = [=](const ConfigEntry& entry, Config& config) {
    if (plain_text(entry.value) == "auto") {
      access(config) = 0;
    } else {
      number.read(entry, config);
    }
  };
  const auto write = [=](const Config& config) {
    return access(config) == 0 ? write_value(std::string("auto")) : number.write(config);
  };
  return {key, read, write};
}

/// A name, or one sign per pass.
Complaint route(const ConfigValue& value) {
  const std::string text = plain_text(value);
  const bool signs = text.find_first_not_of("+-") == std::string::npos;
  if (signs && !text.empty()) return std::nullopt;
  const Complaint found = one_of({"auto", "contiguous", "loop", "vee", "mixed"})(value);
  return found ? *found + ", or one sign per pass as in ++-" : found;
}

/// A TOML table whose keys are members of the struct that `at`, a member pointer or a function,
/// finds in the config.
template <typename At>
struct Table {
  std::string name;
  At at;

  template <typename Member>
  ConfigField key(const std::string& leaf, Member member, const Rule& rule = anything) const {
    const auto access = [ find = at, member ](auto& c) -> auto& {
      return std::invoke(find, c).*member;
    };
    return field(name + "." + leaf, rule, access);
  }
};

std::vector<ConfigField> model_fields() {
  const Table model{"model", &Config::model};
  const Table sharing{"sharing", &Config::sharing};
  const Table config{"sharing", std::identity{}};
  const Table relaxation{"relaxation", std::identity{}};
  return {
      model.key("family", &ModelSpec::family, one_of(model_families())),
      model.key("hidden", &ModelSpec::hidden, count()),
      model.key("depth", &ModelSpec::depth, count()),
      model.key("heads", &ModelSpec::heads, count()),
      model.key("kv_heads", &ModelSpec::kv_heads, at_least(0)),
      model.key("head_dim", &ModelSpec::head_dim, at_least(0)),
      model.key("ffn", &ModelSpec::ffn, count()),
      model.key("vocab", &ModelSpec::vocab, count()),
      model.key("positions", &ModelSpec::positions, at_least(0)),
      model.key("rope_theta", &ModelSpec::rope_theta, positive()),
      model.key("rotary_fraction", &ModelSpec::rotary_fraction, within(0, 1)),
      model.key("norm_eps", &ModelSpec::norm_eps, positive()),
      model.key("window", &ModelSpec::window, at_least(0)),
      model.key("window_layers", &ModelSpec::window_layers),
      model.key("tie_embeddings", &ModelSpec::tie_embeddings),
      sharing.key("strategy", &SharingOptions::strategy, strategy),
      sharing.key("unique", &SharingOptions::unique, at_least(0)),
      sharing.key("map", &SharingOptions::map, at_least(0)),
      sharing.key("prelude", &SharingOptions::prelude, at_least(0)),
      sharing.key("coda", &SharingOptions::coda, at_least(0)),
      sharing.key("attention", &SharingOptions::attention, strategy_or_empty),
      sharing.key("feed_forward", &SharingOptions::feed_forward, strategy_or_empty),
      sharing.key("norms", &SharingOptions::norms, strategy_or_empty),
      config.key("gradient", &Config::gradient, one_of({"sum", "mean", "owner"})),
      relaxation.key("rank", &Config::relaxation_rank, at_least(0)),
  };
}

std::vector<ConfigField> training_fields() {
  const Table data{"data", &Config::data};
  const Table train{"train", &Config::train};
  const Table optimizer{"optimizer", &Config::optimizer};
  const auto rate_of = [](auto& c) -> auto& { return c.optimizer.rate; };
  const Table rate{"optimizer", rate_of};
  return {
      data.key("path", &DataConfig::path),
      data.key("blend", &DataConfig::blend, positive()),
      data.key("sequence", &DataConfig::sequence, count()),
      data.key("shuffle", &DataConfig::shuffle),
      data.key("validation", &DataConfig::validation, fraction()),
      data.key("validation_path", &DataConfig::validation_path),
      train.key("steps", &TrainConfig::steps, at_least(1)),
      train.key("global_batch", &TrainConfig::global_batch, count()),
      train.key("micro_batch", &TrainConfig::micro_batch, count()),
      train.key("seed", &TrainConfig::seed, at_least(0)),
      train.key("precision", &TrainConfig::precision, one_of({"float32", "float64", "bfloat16"})),
      train.key("recompute", &TrainConfig::recompute, one_of({"none", "layer"})),
      train.key("passes", &TrainConfig::passes, pass_schedule),
      train.key("backprop_passes", &TrainConfig::backprop_passes, at_least(0)),
      train.key("init", &TrainConfig::init),
      train.key("distill", &TrainConfig::distill),
      train.key("distill_temperature", &TrainConfig::distill_temperature, positive()),
      train.key("distill_weight", &TrainConfig::distill_weight, within(0, 1)),
      train.key("eval_every", &TrainConfig::eval_every, at_least(0)),
      train.key("eval_batches", &TrainConfig::eval_batches, count()),
      train.key("threads", &TrainConfig::threads, count()),
      rate.key("lr", &RateSchedule::lr, at_least(0)),
      field("optimizer.betas", fraction(),
            [](auto& c) { return std::tie(c.optimizer.beta1, c.optimizer.beta2); }),
      optimizer.key("eps", &OptimizerConfig::eps, positive()),
      optimizer.key("weight_decay", &OptimizerConfig::weight_decay, at_least(0)),
      optimizer.key("clip", &OptimizerConfig::clip, at_least(0)),
      rate.key("warmup", &RateSchedule::warmup, at_least(0)),
      rate.key("schedule", &RateSchedule::schedule, one_of({"constant", "cosine", "trapezoid"})),
      rate.key("min_ratio", &RateSchedule::min_ratio, within(0, 1)),
  };
}

std::vector<ConfigField> run_fields() {
  const Table distributed{"distributed", &Config::distributed};
  const Table checkpoint{"checkpoint", &Config::checkpoint};
  const Table log{"log", &Config::log};
  const Table cluster{"cluster", &Config::cluster};
  return {
      open_count(
          "distributed.pipeline", [](auto& c) -> auto& { return c.distributed.pipeline; }),
      distributed.key("route", &DistributedConfig::route, route),
      open_count(
          "distributed.passes", [](auto& c) -> auto& { return c.distributed.passes; }),
      distributed.key("cuts", &DistributedConfig::cuts, at_least(0)),
      distributed.key("schedule", &DistributedConfig::schedule, schedule),
      distributed.key("zero", &DistributedConfig::zero, one_of({"0", "1"})),
      distributed.key("backend", &DistributedConfig::backend, one_of({"mpi", "nccl"})),
      distributed.key("deterministic", &DistributedConfig::deterministic),
      distributed.key("deadline_s", &DistributedConfig::deadline_s, positive()),
      checkpoint.key("dir", &CheckpointConfig::dir),
      checkpoint.key("every", &CheckpointConfig::every, at_least(0)),
      checkpoint.key("keep", &CheckpointConfig::keep, at_least(1)),
      checkpoint.key("keep_every", &CheckpointConfig::keep_every, at_least(0)),
      checkpoint.key("resume", &CheckpointConfig::resume),
      checkpoint.key("async", &CheckpointConfig::async),
      checkpoint.key("on_error", &CheckpointConfig::on_error, one_of({"stop", "continue"})),
      checkpoint.key("verify", &CheckpointConfig::verify),
      log.key("dir", &LogConfig::dir, not_empty),
      log.key("every", &LogConfig::every, at_least(1)),
      log.key("tensorboard", &LogConfig::tensorboard),
      log.key("trace_step", &LogConfig::trace_step, at_least(0)),
      cluster.key("measured", &ClusterConfig::measured),
      cluster.key("gpus_per_node", &ClusterConfig::gpus_per_node, at_least(1)),
      cluster.key("device_tflops", &ClusterConfig::device_tflops, positive()),
      cluster.key("efficiency", &ClusterConfig::efficiency, within(0.001, 1)),
      cluster.key("memory_gbs", &ClusterConfig::memory_gbs, positive()),
      cluster.key("device_memory_gb", &ClusterConfig::device_memory_gb, at_least(0)),
      cluster.key("intra_gbs", &ClusterConfig::intra_gbs, positive()),
      cluster.key("intra_us", &ClusterConfig::intra_us, at_least(0)),
      cluster.key("inter_gbs", &ClusterConfig::inter_gbs, positive()),
      cluster.key("inter_us", &ClusterConfig::inter_us, at_least(0)),
  };
}

}  // namespace

const std::vector<ConfigField>& config_schema() {
  static const std::vector<ConfigField> schema = [] {
    std::vector<ConfigField> all;
    for (const auto& part : {model_fields(), training_fields(), run_fields()}) {
      all.insert(all.end(), part.begin(), part.end());
    }
    return all;
  }();
  return schema;
}

std::vector<std::string> config_keys() {
  std::vector<std::string> keys;
  for (const ConfigField& field : config_schema()) keys.push_back(field.key);
  return keys;
}

ConfigEntries config_defaults() {
  ConfigEntries entries;
  const Config config;
  for (const ConfigField& field : config_schema()) {
    entries[field.key] = {field.write(config), "default value", -1, /*chosen=*/false};
  }
  return entries;
}

bool is_model_key(const std::string& key) {
  const std::string table = table_of(key);
  return table == "model" || table == "relaxation" ||
         (table == "sharing" && key != "sharing.gradient");
}

void check_key_exists(const std::string& key, const std::string& where) {
  const std::vector<std::string> keys = config_keys();
  if (std::find(keys.begin(), keys.end(), key) != keys.end()) return;
  throw UserError(
      fmt::format("{}: {} is not a key; did you mean {}?", where, key, nearest(key, keys)));
}

}  // namespace rondo
