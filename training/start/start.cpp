#include "training/start/start.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/counted.h"
#include "base/nearest.h"
#include "base/seconds_since.h"
#include "base/user_error.h"
#include "checkpoint/format/checkpoint.h"
#include "checkpoint/format/model_json.h"
#include "distributed/comm/agree.h"

namespace rondo {
namespace {

/// Opens the file that the user named with `key`.
OpenCheckpoint open_named(const std::string& key, const std::string& file) {
  try {
    return std::make_shared<const CheckpointReader>(file);
  } catch (const UserError& error) {
    throw UserError(fmt::format("{} = \"{}\": {}", key, file, error.what()));
  }
}

/// Null where `checkpoint.resume` names no file.
OpenCheckpoint open_resumed(const Config& config) {
  const std::string& wanted = config.checkpoint.resume;
  if (wanted == "auto" || wanted == "never") return nullptr;
  return open_named("checkpoint.resume", wanted);
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

Start start_from(const OpenCheckpoint& reader, const Config& config, bool resume) {
  const CheckpointHeader& header = reader->header();
  check_parameters(*reader, parameters(header.model));
  ModelDefinition model = header.model;
  model.gradient = config.gradient;
  return {.model = model,
          .reader = reader,
          .file = reader->file(),
          .resume = resume,
          .step = header.step,
          .config = header.config,
          .tokenizer = header.tokenizer,
          .hf_files = header.hf_files};
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

/// "4 blocks of attention, not 2", or "layer 3 takes block 1 of attention, not 0".
std::string first_difference(const SharingMap& stored, const SharingMap& wanted) {
  for (const Slot slot : stored.slots()) {
    const std::vector<int>& a = stored.of(slot);
    const std::vector<int>& b = wanted.of(slot);
    const std::string_view name = slot.name;
    if (stored.unique(slot) != wanted.unique(slot)) {
      return fmt::format("{} of {}, not {}", counted(int64_t{stored.unique(slot)}, "block"), name,
                         wanted.unique(slot));
    }
    const auto [at, other] = std::mismatch(a.begin(), a.end(), b.begin());
    if (at == a.end()) continue;
    return fmt::format("layer {} takes block {} of {}, not {}", at - a.begin(), *at, name, *other);
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
  if (!(stored.sharing == wanted.sharing)) {
    refuse(fmt::format("sharing map ({})", first_difference(stored.sharing, wanted.sharing)));
  }
  if (stored.relaxation_rank != wanted.relaxation_rank) {
    refuse(fmt::format("relaxation rank ({}, not {})", stored.relaxation_rank,
                       wanted.relaxation_rank));
  }
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

std::vector<std::string> files_to_resume(const Config& config, Communicator& host) {
  if (config.checkpoint.resume != "auto") return {};
  const std::vector<std::string> files = list_checkpoints(checkpoint_dir(config));
  check_same_text(host, "list of checkpoints", fmt::format("{}", fmt::join(files, "\n")));
  return files;
}

OpenCheckpoint open_first_usable(std::vector<std::string>& files, const Config& config,
                                 Communicator& host) {
  const std::string folder = checkpoint_dir(config);
  for (; !files.empty(); files.erase(files.begin())) {
    OpenCheckpoint reader;
    bool newer = false;
    try {
      agree(host, [&] {
        try {
          reader = std::make_shared<const CheckpointReader>(files.front());
          check_own(*reader, folder);
        } catch (const NewerFormatError&) {
          newer = true;
          throw;
        }
      });
      return reader;
    } catch (const AgreedError& error) {
      if (newer) throw;  // to pass over it would be to write over it
      say_passed_over(error);
    }
  }
  throw AgreedError(host.rank() > 0 ? ""
                                    : fmt::format("no checkpoint in {} can be used: move them away "
                                                  "to start anew, or choose another log.dir",
                                                  folder));
}

Start choose_start(const Config& config, const OpenCheckpoint& newest) {
  if (const OpenCheckpoint resumed = newest ? newest : open_resumed(config)) {
    check_nothing_newer(config, resumed->header().step);
    const Start start = start_from(resumed, config, /*resume=*/true);
    check_has_optimizer(*resumed);
    if (config.train.init.empty()) {
      check_same_model(start.model, define_model(config), start.file);
    }
    return start;
  }
  check_nothing_newer(config, 0);
  if (config.train.init.empty()) return {.model = define_model(config)};
  return start_from(open_named("train.init", config.train.init), config, /*resume=*/false);
}

}  // namespace rondo
