#include "launcher/start.h"

#include <fmt/format.h>

#include "base/user_error.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/checkpoint_reader.h"

namespace rondo {
namespace {

ModelDefinition model_in(const CheckpointReader& reader, const Config& config) {
  const CheckpointHeader& header = reader.header();
  check_parameters(reader, parameter_list(header.model, header.sharing, header.relaxation_rank));
  return {header.model, header.sharing, header.relaxation_rank, config.gradient};
}

std::optional<std::string> file_to_resume(const Config& config) {
  if (config.checkpoint.resume == "never") return std::nullopt;
  if (config.checkpoint.resume == "auto") return newest_checkpoint(checkpoint_dir(config));
  return config.checkpoint.resume;
}

void check_same_model(const ModelDefinition& stored, const ModelDefinition& wanted,
                      const std::string& file) {
  const auto refuse = [&](const std::string& what) {
    throw UserError(
        fmt::format("{} holds another {} than this config describes; choose another "
                    "log.dir, or set checkpoint.resume=never",
                    file, what));
  };
  if (!(stored.spec == wanted.spec)) refuse("model");
  if (!(stored.sharing == wanted.sharing)) refuse("sharing map");
  if (stored.relaxation_rank != wanted.relaxation_rank) refuse("relaxation rank");
}

}  // namespace

std::string checkpoint_dir(const Config& config) {
  return config.checkpoint.dir.empty() ? config.log.dir + "/checkpoints" : config.checkpoint.dir;
}

ModelDefinition define_model(const Config& config) {
  if (config.model.family != "llama") {
    throw UserError(
        fmt::format("model.family = \"{}\": this version trains llama", config.model.family));
  }
  return {config.model, make_sharing_map(config.sharing, static_cast<int>(config.model.depth)),
          config.relaxation_rank, config.gradient};
}

Start choose_start(const Config& config) {
  if (const std::optional<std::string> file = file_to_resume(config)) {
    const CheckpointReader reader(*file);
    const ModelDefinition stored = model_in(reader, config);
    if (config.train.init.empty()) check_same_model(stored, define_model(config), *file);
    return {stored, *file, true};
  }
  if (!config.train.init.empty()) {
    return {model_in(CheckpointReader(config.train.init), config), config.train.init, false};
  }
  return {define_model(config), "", false};
}

}  // namespace rondo
