#include <fmt/format.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/model_json.h"
#include "launcher/command_line.h"
#include "launcher/commands.h"
#include "launcher/model_summary.h"
#include "model/parameter_list.h"

namespace rondo {
namespace {

nlohmann::json report(const CheckpointReader& reader, const ParameterCounts& counts) {
  const CheckpointHeader& header = reader.header();
  nlohmann::json components = nlohmann::json::object();
  for (const ParameterSpec& spec :
       parameter_list(header.model, header.sharing, header.relaxation_rank)) {
    components[spec.component][spec.name] = spec.shape;
  }
  return {{"file", reader.file()},
          {"step", header.step},
          {"tokens", header.tokens},
          {"model", nlohmann::json::parse(model_to_json(header.model))},
          {"sharing", nlohmann::json::parse(sharing_to_json(header.sharing))},
          {"relaxation_rank", header.relaxation_rank},
          {"components", components},
          {"parameters", {{"unique", counts.unique}, {"executed", counts.executed}}}};
}

}  // namespace

int inspect_command(const Arguments& arguments) {
  std::string file;
  bool as_json = false;
  CLI::App app("Shows a checkpoint's sharing map, components, sizes and step.", "inspect");
  app.add_option("file", file, "FILE.h5")->required();
  app.add_flag("--json", as_json, "one JSON object");
  app.footer("\nExample: rondo inspect runs/demo/checkpoints/step-00000200.h5");
  if (!parse_words(app, arguments)) return 0;
  const CheckpointReader reader(file);
  const CheckpointHeader& header = reader.header();
  const auto parameters = parameter_list(header.model, header.sharing, header.relaxation_rank);
  check_parameters(reader, parameters);
  if (as_json) {
    const ParameterCounts counts =
        count_parameters(header.model, header.sharing, header.relaxation_rank);
    std::cout << report(reader, counts).dump() << "\n";
    return 0;
  }
  std::cout << fmt::format("{}: step {}, {} tokens seen\n", file, header.step, header.tokens)
            << summary({header.model, header.sharing, header.relaxation_rank}, 2048);
  std::string component;
  for (const ParameterSpec& spec : parameters) {
    if (spec.component != component) std::cout << (component = spec.component) << "\n";
    std::cout << fmt::format("  {:<28}", spec.name);
    for (const int64_t size : spec.shape) std::cout << " " << size;
    std::cout << "\n";
  }
  return 0;
}

}  // namespace rondo
