// How a run goes on after trouble, and when it ends early: keys of [train].
#include "base/quantity.h"
#include "launcher/config/tables/row.h"
#include "launcher/config/tables/tables.h"

namespace rondo {
namespace {

/// Text such as "1h30m" for a count of seconds.
Binding<ControlConfig> duration(int64_t ControlConfig::*member) {
  const auto read = [=](const ConfigValue& value, ControlConfig& control) -> Complaint {
    std::string text;
    const bool is_text = !read_value(value, text);
    control.*member = 0;
    if (is_text && text.empty()) return std::nullopt;
    const std::optional<int64_t> seconds = is_text ? parse_duration(text) : std::nullopt;
    if (!seconds || *seconds < 1) return "expected a time such as 45m, 2h or 1h30m";
    control.*member = *seconds;
    return std::nullopt;
  };
  const auto write = [=](const ControlConfig& control) -> ConfigValue {
    return {control.*member == 0 ? std::string() : duration_text(control.*member)};
  };
  return {"a time", read, write};
}

}  // namespace

std::vector<ConfigField> control_fields() {
  return table<ControlConfig>(
      "train", &Config::control,
      {
          {"exit_after", duration(&ControlConfig::exit_after_s), anything(), "",
           "Save and stop before the run has taken so long, as in 2h or 1h30m; exit code 75. "
           "Empty: "
           "never."},
          {"exit_at_step", &ControlConfig::exit_at_step, at_least(0), "",
           "Save and stop after this step, with exit code 75. 0: never."},
          {"on_nonfinite", &ControlConfig::on_nonfinite, one_of({"stop", "skip"}), "",
           "What follows a step whose loss or gradient is not finite. skip: the weights stay as "
           "they are, and the next step reads the next data."},
          {"nonfinite_limit", &ControlConfig::nonfinite_limit, at_least(1), "steps",
           "Under train.on_nonfinite=skip so many skipped steps in a row end the run."},
          {"on_spike", &ControlConfig::on_spike, one_of({"ignore", "rewind"}), "",
           "What follows losses that leave their way upwards. rewind: go back to the last "
           "checkpoint "
           "before, and on with later data."},
          {"spike_sigmas", &ControlConfig::spike_sigmas, more_than_zero(), "standard deviations",
           "How far above the losses of the 50 steps before three losses in a row make a spike."},
          {"max_rewinds", &ControlConfig::max_rewinds, at_least(1), "",
           "After so many rewinds a further spike ends the run."},
      });
}

}  // namespace rondo
