#include "training/start.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/nearest.h"
#include "base/seconds_since.h"
#include "base/user_error.h"
#include "checkpoint/format/checkpoint.h"
#include "checkpoint/format/model_json.h"
#include "distributed/comm/agree.h"
#include "launcher/config/stored.h"

namespace rondo {
namespace {

/// Opens the file that the user named with `key`.
CheckpointReader open_named(const std::string& key, const std::string& file) {
  try {
    return CheckpointReader(file);
  } catch (const UserError& error) {
    throw UserError(fmt::format("{} = \"{}\": {}", key, file, error.what()));
  }
}

CheckpointReader open_resumed(const Config& config, const std::string& file) {
  const std::string& wanted = config.checkpoint.resume;
  if (wanted == "auto") return CheckpointReader(file);
  if (!std::filesystem::exists(file) && !file.ends_with(".h5")) {
    throw UserError(fmt::format("checkpoint.resume = \"{}\": {}, a checkpoint's file", wanted,
                                choice_among(wanted, {"auto", "never"})));
  }
  return open_named("checkpoint.resume", file);
}

void check_has_optimizer(const CheckpointReader& reader) {
  const std::vector<ParameterSpec> all = parameters(reader.header().model);
  const bool has_all = std::all_of(all.begin(), all.end(), [&](const ParameterSpec& parameter) {
    return reader.has(exp_avg_dataset(parameter)) && reader.has(exp_avg_sq_dataset(parameter));
  });
  if (has_all) return;
  throw UserError(
      fmt::format("{} holds weights without optimizer state, from which no run can go on; start a "
                  "new one with train.init={} and checkpoint.resume=never",
                  reader.file(), reader.file()));
}

/// One of a run's own, all of which must be there.
void check_own(const CheckpointReader& reader, const std::string& folder) {
  const CheckpointHeader& header = reader.header();
  if (std::filesystem::path(checkpoint_file(folder, header.step)).filename() !=
      std::filesystem::path(reader.file()).filename()) {
    throw UserError(fmt::format("{} says that it is of step {}: use the checkpoint before it",
                                reader.file(), header.step));
  }
  check_parameters(reader, parameters(header.model));
  check_has_optimizer(reader);
}

ModelDefinition model_in(const CheckpointReader& reader, const Config& config) {
  const CheckpointHeader& header = reader.header();
  check_parameters(reader, parameters(header.model));
  ModelDefinition model = header.model;
  model.gradient = config.gradient;
  return model;
}

Start start_from(const CheckpointReader& reader, const Config& config, bool resume) {
  return {model_in(reader, config), reader.file(),          resume,
          reader.header().step,     reader.header().config, reader.header().tokenizer,
          reader.header().hf_files};
}

std::optional<std::string> file_to_resume(const Config& config, int64_t damaged) {
  if (config.checkpoint.resume == "never") return std::nullopt;
  if (config.checkpoint.resume != "auto") return config.checkpoint.resume;
  const std::vector<std::string> files = list_checkpoints(checkpoint_dir(config));
  const auto place = static_cast<size_t>(damaged);
  return place < files.size() ? std::optional(files[place]) : std::nullopt;
}

/// With any other choice than the newest file, that file would win over this run's own later on.
void check_nothing_newer(const Config& config, int64_t step) {
  if (config.checkpoint.resume == "auto") return;
  const std::optional<std::string> newest = newest_checkpoint(checkpoint_dir(config));
  if (!newest || CheckpointReader(*newest).header().step <= step) return;
  throw UserError(fmt::format(
      "checkpoint.resume = \"{}\": {} holds {} of an earlier run, which a later one would take for "
      "its own; choose another log.dir, or move that checkpoint away",
      config.checkpoint.resume, checkpoint_dir(config), *newest));
}

/// A run that is resumed reads no `train.init`: with another file there it would go on with what
/// the user does not mean.
void check_same_init(const Config& config, const Start& start) {
  const std::string& wanted = config.train.init;
  const std::string before = init_in(start.config);
  std::error_code absent;
  if (wanted.empty() || wanted == before || std::filesystem::equivalent(wanted, before, absent)) {
    return;
  }
  throw UserError(fmt::format(
      "train.init = \"{}\", but {} is of a run that began {}; choose another log.dir to start from "
      "{}, or give the run's own train.init to go on with it",
      wanted, start.file, before.empty() ? "without one" : "from " + before, wanted));
}

/// "hidden 64, not 32": what the file has, and what the config asks for.
std::string first_difference(const ModelSpec& stored, const ModelSpec& wanted) {
  const auto a = nlohmann::json::parse(model_to_json(stored));
  const auto b = nlohmann::json::parse(model_to_json(wanted));
  for (const auto& [key, value] : a.items()) {
    if (value != b.at(key))
      return fmt::format("{} {}, not {}", key, value.dump(), b.at(key).dump());
  }
  return "";
}

}  // namespace

void check_same_model(const ModelDefinition& stored, const ModelDefinition& wanted,
                      const std::string& file) {
  const auto refuse = [&](const std::string& what) {
    throw UserError(
        fmt::format("{} holds another {} than this config describes; give the keys that its run "
                    "was started with, or choose another log.dir",
                    file, what));
  };
  if (!(stored.spec == wanted.spec)) {
    refuse(fmt::format("model ({})", first_difference(stored.spec, wanted.spec)));
  }
  if (!(stored.sharing == wanted.sharing)) refuse("sharing map");
  if (stored.relaxation_rank != wanted.relaxation_rank) refuse("relaxation rank");
}

void verify(const CheckpointReader& reader, const std::string& below, const Communicator& host) {
  const auto begin = std::chrono::steady_clock::now();
  reader.verify(below, {host.rank(), host.size()});
  if (host.rank() > 0) return;
  std::cout << fmt::format("checked {} in {:.2f} s\n", reader.file(), seconds_since(begin))
            << std::flush;
}

std::string checkpoint_dir(const Config& config) {
  return config.checkpoint.dir.empty() ? config.log.dir + "/checkpoints" : config.checkpoint.dir;
}

ModelDefinition define_model(const Config& config) {
  const ModelDefinition model{
      config.model, make_sharing_map(config.sharing, static_cast<int>(config.model.depth)),
      config.relaxation_rank, config.gradient};
  check_passes(model);
  return model;
}

void say_passed_over(const UserError& error) {
  const std::string line = error.what();
  if (!line.empty()) std::cerr << "rondo: passes over a damaged checkpoint: " << line << "\n";
}

int64_t count_damaged(const Config& config, int64_t damaged, Communicator& host) {
  if (config.checkpoint.resume != "auto") return 0;
  const std::string folder = checkpoint_dir(config);
  const std::vector<std::string> files = list_checkpoints(folder);
  check_same_text(host, "list of checkpoints", fmt::format("{}", fmt::join(files, "\n")));
  for (; damaged < static_cast<int64_t>(files.size()); ++damaged) {
    bool newer = false;
    try {
      agree(host, [&] {
        try {
          check_own(CheckpointReader(files[static_cast<size_t>(damaged)]), folder);
        } catch (const NewerFormatError&) {
          newer = true;
          throw;
        }
      });
      return damaged;
    } catch (const AgreedError& error) {
      if (newer) throw;  // to pass over it would be to write over it
      say_passed_over(error);
    }
  }
  if (damaged == 0) return 0;
  throw AgreedError(host.rank() > 0 ? ""
                                    : fmt::format("no checkpoint in {} can be used: move them away "
                                                  "to start anew, or choose another log.dir",
                                                  folder));
}

Start choose_start(const Config& config, int64_t damaged) {
  if (const std::optional<std::string> file = file_to_resume(config, damaged)) {
    const CheckpointReader reader = open_resumed(config, *file);
    check_nothing_newer(config, reader.header().step);
    const Start start = start_from(reader, config, /*resume=*/true);
    check_has_optimizer(reader);
    if (config.checkpoint.resume == "auto") check_same_init(config, start);
    if (config.train.init.empty()) check_same_model(start.model, define_model(config), *file);
    return start;
  }
  check_nothing_newer(config, 0);
  if (config.train.init.empty()) return {define_model(config)};
  return start_from(open_named("train.init", config.train.init), config, /*resume=*/false);
}

}  // namespace rondo
