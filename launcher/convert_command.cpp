#include <fmt/format.h>

#include <iostream>

#include "base/output_path.h"
#include "base/user_error.h"
#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/hf_import.h"
#include "launcher/command_line.h"
#include "launcher/commands.h"
#include "launcher/model_summary.h"
#include "model/component_store.h"

namespace rondo {
namespace {

constexpr const char* examples = R"(
Example: 30 layers of SmolLM2 as 10 blocks that run 3 times
  rondo convert --from hf:SmolLM2-135M --to shared.h5 --sharing cycle --unique 10 --init stepwise
  rondo train train.init=shared.h5 data.path=corpus
)";

constexpr std::string_view hugging_face = "hf:";

/// The options stand for keys of the config, by which messages call them.
std::string with_option_names(std::string message) {
  for (const std::string name : {"strategy", "unique", "map", "prelude", "coda"}) {
    const std::string key = "sharing." + name;
    const std::string option = name == "strategy" ? "--sharing" : "--" + name;
    for (size_t at = message.find(key); at != std::string::npos; at = message.find(key, at)) {
      message.replace(at, key.size(), option);
    }
  }
  return message;
}

void convert(const HfImportOptions& options) {
  try {
    convert_hugging_face(options);
  } catch (const UserError& error) {
    throw UserError(with_option_names(error.what()));
  }
}

}  // namespace

int convert_command(const Arguments& arguments) {
  HfImportOptions options;
  std::string init = "stepwise";
  std::string precision = "float32";
  CLI::App app("Turns a Hugging Face model folder into a checkpoint with shared layers.",
               "convert");
  app.add_option("--from", options.from, "hf:DIR with config.json and safetensors")->required();
  app.add_option("--to", options.to, "FILE.h5 to write")->required();
  const CLI::Option* sharing =
      app.add_option("--sharing", options.sharing.strategy, "strategy of the sharing map")
          ->capture_default_str();
  app.add_option("--unique", options.sharing.unique, "number of blocks");
  app.add_option("--map", options.sharing.map, "one block per layer: 0,1,2,0 (sharing explicit)")
      ->delimiter(',');
  app.add_option("--prelude", options.sharing.prelude, "unique layers before the strategy's part");
  app.add_option("--coda", options.sharing.coda, "unique layers after it");
  app.add_option("--init", init, "which layers a block is made of: stepwise, average, lower, upper")
      ->capture_default_str()
      ->check(one_of_words({"stepwise", "average", "lower", "upper"}));
  app.add_option("--precision", precision, "of the file: float32 or float64")
      ->capture_default_str()
      ->check(one_of_words({"float32", "float64"}));
  app.footer(examples);
  if (!parse_words(app, arguments)) return 0;
  if (!options.from.starts_with(hugging_face)) {
    throw UserError(fmt::format("--from {}: write hf:DIR", options.from));
  }
  options.from.erase(0, hugging_face.size());
  options.init = parse_sharing_init(init);
  options.dtype = Precision::parse(precision).master;
  if (options.to.starts_with(hugging_face)) {
    throw UserError(fmt::format("--to {}: this version writes FILE.h5", options.to));
  }
  check_output_path("--to", options.to);
  if (!options.sharing.map.empty() && sharing->empty()) options.sharing.strategy = "explicit";
  convert(options);
  const CheckpointReader reader(options.to);
  const CheckpointHeader& header = reader.header();
  std::cout << summary({header.model, header.sharing, header.relaxation_rank}, 2048) << "wrote "
            << options.to << "\n";
  return 0;
}

}  // namespace rondo
