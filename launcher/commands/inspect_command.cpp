#include <fmt/format.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "checkpoint/format/checkpoint_reader.h"
#include "checkpoint/format/model_json.h"
#include "launcher/commands/command_line.h"
#include "launcher/commands/commands.h"
#include "launcher/config/stored.h"
#include "launcher/reports/model_summary.h"
#include "model/definition/parameters.h"

namespace rondo {
namespace {

nlohmann::json report(const CheckpointReader& reader, const std::vector<ParameterSpec>& parameters,
                      int64_t sequence) {
  const CheckpointHeader& header = reader.header();
  const ParameterCounts counts = count_parameters(header.model);
  nlohmann::json components = nlohmann::json::object();
  for (const ParameterSpec& spec : parameters) {
    components[to_string(spec.component)][spec.name] = spec.shape;
  }
  const nlohmann::json samples = header.samples ? nlohmann::json(*header.samples) : nullptr;
  const nlohmann::json loss =
      header.validation_loss ? nlohmann::json(*header.validation_loss) : nullptr;
  return {{"file", reader.file()},
          {"step", header.step},
          {"tokens", header.tokens},
          {"samples", samples},
          {"validation_loss", loss},
          {"model", nlohmann::json::parse(model_to_json(header.model.spec))},
          {"sharing", nlohmann::json::parse(sharing_to_json(header.model.sharing))},
          {"relaxation_rank", header.model.relaxation_rank},
          {"components", components},
          {"parameters",
           {{"unique", counts.unique},
            {"unique_non_embedding", counts.unique_non_embedding},
            {"executed", counts.executed}}},
          {"sequence", sequence},
          {"flops_per_token", flops_per_token(header.model, sequence)}};
}

void print(const CheckpointReader& reader, const std::vector<ParameterSpec>& parameters,
           int64_t sequence) {
  const CheckpointHeader& header = reader.header();
  const std::string samples = header.samples ? fmt::format(", {} samples", *header.samples) : "";
  const std::string loss =
      header.validation_loss ? fmt::format(", held-out loss {:.4f}", *header.validation_loss) : "";
  std::cout << fmt::format("{}: step {}, {} tokens{} seen{}\n", reader.file(), header.step,
                           header.tokens, samples, loss)
            << summary(header.model, sequence);
  std::optional<Component> component;
  for (const ParameterSpec& spec : parameters) {
    if (spec.component != component) std::cout << to_string(spec.component) << "\n";
    component = spec.component;
    std::cout << fmt::format("  {:<28}", spec.name);
    for (const int64_t size : spec.shape) std::cout << " " << size;
    std::cout << "\n";
  }
}

}  // namespace

int inspect_command(const Arguments& arguments) {
  std::string file;
  bool as_json = false;
  bool verify = false;
  int64_t sequence = 0;
  const CommandLine line{"inspect",
                         "Shows a checkpoint's sharing map, components, sizes and step.",
                         {{"file", &file, "FILE.h5", {.required = true, .path = true}},
                          {"--json", &as_json, "one JSON object"},
                          {"--sequence",
                           &sequence,
                           "tokens a sequence, for the FLOPs; default: as trained",
                           {.least = 1}},
                          {"--verify", &verify, "read all of it and compare the checksums"}},
                         "\nExample: rondo inspect runs/demo/checkpoints/step-00001000.h5"};
  if (!line.parse(arguments)) return 0;
  const CheckpointReader reader(file);
  const CheckpointHeader& header = reader.header();
  const std::vector<ParameterSpec> wanted = parameters(header.model);
  check_parameters(reader, wanted);
  if (verify) reader.verify();
  if (sequence == 0) sequence = sequence_in(header.config);
  if (as_json) {
    nlohmann::json json = report(reader, wanted, sequence);
    if (verify) json["verified"] = true;
    json["sealed"] = reader.sealed();
    std::cout << json.dump() << "\n";
    return 0;
  }
  print(reader, wanted, sequence);
  if (verify) {
    std::cout << "all checksums match"
              << (reader.sealed() ? "\n"
                                  : "; but there is no seal: another program wrote or changed the "
                                    "file, and nothing vouches for its attributes\n");
  }
  return 0;
}

}  // namespace rondo
