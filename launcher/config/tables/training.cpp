// What a step does: [data], [train], [optimizer].
#include "launcher/config/tables/row.h"
#include "launcher/config/tables/tables.h"
#include "model/definition/element.h"

namespace rondo {
namespace {

/// Prefixes and weights in turn.
Binding<DataConfig> blend() {
  const auto read = [](const ConfigValue& value, DataConfig& data) -> Complaint {
    const auto* list = std::get_if<ConfigValue::List>(&value.data);
    bool fits = list != nullptr && list->size() % 2 == 0;
    data.blend.resize(fits ? list->size() / 2 : 0);
    for (size_t i = 0; fits && i < data.blend.size(); ++i) {
      BlendEntry& entry = data.blend[i];
      fits =
          !read_value((*list)[2 * i], entry.path) && !read_value((*list)[2 * i + 1], entry.weight);
      if (const Complaint found = fits ? expand_path(entry.path) : std::nullopt) return found;
    }
    if (fits) return std::nullopt;
    return "expected prefixes and weights in turn, such as [\"a\", 0.7, \"b\", 0.3]";
  };
  const auto write = [](const DataConfig& data) -> ConfigValue {
    ConfigValue::List list;
    for (const BlendEntry& entry : data.blend) {
      list.push_back({entry.path});
      list.push_back({entry.weight});
    }
    return {std::move(list)};
  };
  return {"a list of prefixes and weights in turn", read, write};
}

/// The prefixes in between may be numbers, too.
Allowed weights() {
  const auto complaint = [](const ConfigValue& value) -> Complaint {
    const auto& list = std::get<ConfigValue::List>(value.data);
    for (size_t i = 1; i < list.size(); i += 2) {
      if (const Complaint found = more_than_zero().complaint(list[i])) return found;
    }
    return std::nullopt;
  };
  return {"weights " + more_than_zero().words, complaint};
}

/// Two members, one key.
Binding<AdamWOptions> betas() {
  const auto read = [](const ConfigValue& value, AdamWOptions& options) -> Complaint {
    const auto* list = std::get_if<ConfigValue::List>(&value.data);
    const bool fits = list != nullptr && list->size() == 2 &&
                      !read_value((*list)[0], options.beta1) &&
                      !read_value((*list)[1], options.beta2);
    if (fits) return std::nullopt;
    return "expected a list of 2 numbers, such as [0.9, 0.95]";
  };
  const auto write = [](const AdamWOptions& options) -> ConfigValue {
    return {ConfigValue::List{{options.beta1}, {options.beta2}}};
  };
  return {"a list of 2 numbers", read, write};
}

/// One path, or a list of them.
Binding<DataConfig> paths(std::vector<std::string> DataConfig::*member) {
  const auto read = [=](const ConfigValue& value, DataConfig& data) -> Complaint {
    const auto* list = std::get_if<ConfigValue::List>(&value.data);
    const ConfigValue::List items = list == nullptr ? ConfigValue::List{value} : *list;
    std::vector<std::string> found;
    for (const ConfigValue& item : items) {
      std::string path;
      if (read_value(item, path)) return "expected a path, or a list of paths";
      if (const Complaint complaint = expand_path(path)) return complaint;
      if (!path.empty()) found.push_back(path);
    }
    data.*member = found;
    return std::nullopt;
  };
  const auto write = [=](const DataConfig& data) -> ConfigValue {
    const std::vector<std::string>& all = data.*member;
    if (all.size() < 2) return {all.empty() ? std::string() : all[0]};
    ConfigValue::List list;
    for (const std::string& path : all) list.push_back({path});
    return {std::move(list)};
  };
  return {"a path or a list of paths", read, write};
}

std::vector<ConfigField> data_table() {
  return table<DataConfig>(
      "data", &Config::data,
      {
          {"path", path(&DataConfig::path), anything(), "",
           "Prefix of the corpus' .bin and .idx, which rondo prepare writes."},
          {"blend", blend(), weights(), "",
           "Several corpora instead of data.path: [\"PREFIX\", weight, \"PREFIX\", weight, ...]."},
          {"sequence", &DataConfig::sequence, count(), "tokens", "Length of a sample."},
          {"shuffle", &DataConfig::shuffle, anything(), "",
           "Draw samples in a random order that train.seed decides. false: in the corpus' order."},
          {"validation", &DataConfig::validation, fraction(), "",
           "Share of the samples, at the end, that is held out for evaluation."},
          {"validation_path", paths(&DataConfig::validation_paths), anything(), "",
           "Prefix of tokens to evaluate on, instead of data.validation, or a list of several, "
           "each with a loss of its own. Empty: none."},
      });
}

std::vector<ConfigField> train_table() {
  return table<TrainConfig>(
      "train", &Config::train,
      {
          {"steps", &TrainConfig::steps, at_least(1), "steps",
           "Updates of the whole run, those before a resume included."},
          {"global_batch", &TrainConfig::global_batch, count(), "sequences",
           "Sequences of a step over all replicas."},
          {"micro_batch", open(&TrainConfig::micro_batch), count(), "sequences",
           "Sequences of one forward pass. It must divide a replica's share of the global batch. "
           "auto: the planner chooses among the divisors."},
          {"seed", &TrainConfig::seed, at_least(0), "",
           "Of the initial weights, the order of samples and the passes that are drawn."},
          {"precision", &TrainConfig::precision, one_of(precision_names()), "",
           "Element type of computations. bfloat16 keeps float32 weights, gradients and optimizer "
           "state beside."},
          {"recompute", &TrainConfig::recompute, one_of({"none", "layer"}), "",
           "What backward computes again instead of keeping it: layer trades time for memory."},
          {"passes", &TrainConfig::passes, pass_schedule(), "",
           "Passes over the recurring layers, drawn for each step. Empty: all that the map has."},
          {"backprop_passes", &TrainConfig::backprop_passes, at_least(0), "passes",
           "Gradients go back through the last so many passes. 0: through all."},
          {"init", path(&TrainConfig::init), anything(), "",
           "Checkpoint whose weights the run starts from. Its model and sharing map then stand."},
          {"distill", path(&TrainConfig::distill), anything(), "",
           "Checkpoint whose model teaches this one. Empty: only the tokens do."},
          {"distill_temperature", &TrainConfig::distill_temperature, more_than_zero(), "",
           "Temperature of the softmax that teacher and model are compared at."},
          {"distill_weight", &TrainConfig::distill_weight, within(0, 1), "",
           "Share of the teacher in the loss. The tokens have the rest."},
          {"eval_every", &TrainConfig::eval_every, at_least(0), "steps",
           "Steps between evaluations on held-out tokens. 0: only at the end."},
          {"eval_batches", &TrainConfig::eval_batches, count(), "global batches",
           "Length of an evaluation, at most."},
          {"threads", &TrainConfig::threads, count(), "threads", "Compute threads of each rank."},
          {"batch_ramp_from", &TrainConfig::batch_ramp_from, at_least(0), "sequences",
           "Global batch of the first step, in multiples of which it grows linearly to "
           "train.global_batch. Itself a multiple of train.micro_batch times the replicas."},
          {"batch_ramp_steps", &TrainConfig::batch_ramp_steps, at_least(0), "steps",
           "Steps over which the global batch grows. 0: every step takes train.global_batch."},
      });
}

std::vector<ConfigField> optimizer_table() {
  const auto rate = [](auto& config) -> auto& { return config.optimizer.rate; };
  const auto adamw = [](auto& config) -> auto& { return config.optimizer.adamw; };
  return joined({
      table<RateSchedule>(
          "optimizer", rate,
          {
              {"lr", &RateSchedule::lr, at_least(0), "", "Highest learning rate."},
              {"warmup", &RateSchedule::warmup, at_least(0), "steps",
               "Steps over which the rate rises linearly to optimizer.lr."},
              {"schedule", &RateSchedule::schedule, one_of(rate_schedules()), "",
               "How the rate goes on after the warm-up. trapezoid falls over the last "
               "optimizer.decay_share, inverse_sqrt by the root of the step."},
              {"min_ratio", &RateSchedule::min_ratio, within(0, 1), "",
               "What is left of optimizer.lr at the last step. 0: nothing one step after it, so "
               "that the last one still trains."},
              {"decay_share", &RateSchedule::decay_share, share(), "",
               "Share of the steps after the warm-up over which a trapezoid falls."},
          }),
      table<AdamWOptions>(
          "optimizer", adamw,
          {
              {"betas", betas(), fraction(), "",
               "Decay of AdamW's first and second moment from step to step."},
              {"eps", &AdamWOptions::eps, more_than_zero(), "",
               "Added to the root of the second moment."},
              {"weight_decay", &AdamWOptions::weight_decay, at_least(0), "",
               "Decoupled decay of matrices, times the rate. Vectors do not decay."},
          }),
      table<OptimizerConfig>(
          "optimizer", &Config::optimizer,
          {
              {"clip", &OptimizerConfig::clip, at_least(0), "",
               "Largest global gradient norm. A larger gradient is scaled down to it. 0: never."},
              {"decay_steps", &OptimizerConfig::decay_steps, at_least(0), "steps",
               "Where the decay of the rate ends, so that a run may be a part of a longer "
               "schedule. 0: "
               "at train.steps."},
          }),
  });
}

}  // namespace

std::vector<ConfigField> training_fields() {
  return joined({data_table(), train_table(), control_fields(), optimizer_table()});
}

}  // namespace rondo
