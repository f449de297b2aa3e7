#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numbers>

#include "base/user_error.h"
#include "checkpoint/format/checkpoint_reader.h"
#include "data/prepare.h"
#include "distributed/comm/agree.h"
#include "distributed/comm/mpi_session.h"
#include "launcher/commands/command_line.h"
#include "launcher/commands/commands.h"
#include "launcher/commands/job.h"
#include "launcher/config/compose.h"
#include "model/definition/element.h"
#include "training/machine/devices.h"
#include "training/trainer.h"

namespace rondo {
namespace {

struct EvalWords {
  std::string checkpoint;
  std::string data;
  std::string precision = "float32";
  std::string device = "cpu";
  int64_t sequence = 0;
  int64_t stride = 0;
  int64_t max_tokens = 0;
  int64_t micro_batch = 8;
  int threads = 1;
};

/// Samples of `sequence` tokens to measure: all, or as many as max_tokens asks for.
int64_t sample_count(const EvalWords& words, const SampleSource& source, int64_t sequence) {
  if (words.max_tokens == 0) return source.samples();
  return std::clamp<int64_t>(words.max_tokens / sequence, 1, source.samples());
}

nlohmann::json result_json(double loss, int64_t tokens, const std::optional<DatasetInfo>& info) {
  nlohmann::json json = {{"loss", loss}, {"perplexity", std::exp(loss)}, {"tokens", tokens}};
  if (info) {
    const double tokens_per_byte =
        static_cast<double>(info->tokens) / static_cast<double>(info->bytes);
    json["bits_per_byte"] = loss / std::numbers::ln2 * tokens_per_byte;
    json["unigram_bits_per_byte"] = info->unigram_entropy;
  }
  return json;
}

/// The whole model on every rank, whatever it was trained on.
Plan data_parallel_plan(Config config, const ModelDefinition& model, int world_size) {
  config.distributed = {};
  config.train.distill.clear();
  config.cluster.device_memory_gb = 0;  // it is priced as training, which it is not
  config.train.global_batch = config.train.micro_batch * world_size;
  return plan_for(config, model, world_size);
}

/// As the words say, else as trained; a model that was never trained here has no more positions
/// than it has learned.
void choose_sequence(const EvalWords& words, const ModelSpec& model, Resolved& stored) {
  constexpr const char* key = "data.sequence";
  if (words.sequence > 0) {
    stored.entries[key] = {ConfigValue{words.sequence}, "--sequence", 0};
  } else if (!stored.entries.contains(key) && model.positions > 0) {
    stored.entries[key] = {ConfigValue{model.positions}, words.checkpoint, 0};
  }
}

void check_positions(const EvalWords& words, const ModelSpec& model) {
  if (model.positions == 0 || words.sequence <= model.positions) return;
  throw UserError(fmt::format("--sequence {}: the model learned {} positions; give {} or less",
                              words.sequence, model.positions, model.positions));
}

SampleSource open_source(const EvalWords& words, const Config& config, int64_t vocab) {
  try {
    return {{{open_corpus("--data", words.data), 1.0}},
            {.sequence = config.data.sequence,
             .stride = words.stride,
             .shuffle = false,
             .vocab = vocab}};
  } catch (const UserError& error) {
    throw UserError(with_options_for_keys(error.what(), {{"data.sequence", "--sequence"}}));
  }
}

void evaluate_checkpoint(const EvalWords& words, Communicator& host) {
  Config config;
  ModelDefinition model;
  std::optional<SampleSource> source;
  int64_t samples = 0;
  torch::Device device = torch::kCPU;
  agree(host, [&] {
    device = choose_device(words.device, rank_on_node(), "--device cuda", "leave --device out");
    const CheckpointReader reader(words.checkpoint);
    const CheckpointHeader& header = reader.header();
    Resolved stored = resolved_from_toml(header.config, words.checkpoint);
    // The header's own map stands; that of the config may be one that train.init replaced.
    std::erase_if(stored.entries, [](const auto& e) { return e.first.starts_with("sharing."); });
    check_positions(words, header.model.spec);
    choose_sequence(words, header.model.spec, stored);
    config = parse_config(stored);
    model = header.model;
    check_parameters(reader, parameters(model));
    config.train.micro_batch = words.micro_batch;
    source.emplace(open_source(words, config, model.spec.vocab));
    samples = sample_count(words, *source, config.data.sequence);
  });
  check_tokens({IndexedDataset(words.data)}, model.spec.vocab, host);
  at::set_num_threads(words.threads);
  Replica replica(model, data_parallel_plan(config, model, host.size()),
                  {.precision = Precision::parse(words.precision),
                   .sequence = config.data.sequence,
                   .device = device},
                  {host, host});
  replica.load(CheckpointReader(words.checkpoint), {.optimizer = false}, host);
  const double loss = evaluate(replica, *source, samples, config, {host, host});
  if (host.rank() != 0) return;
  const int64_t tokens = samples * config.data.sequence;
  std::cout << result_json(loss, tokens, read_dataset_info(words.data)).dump() << "\n";
}

bool read_words(const Arguments& arguments, bool speaks, EvalWords& words) {
  const CommandLine line{
      "eval",
      "Measures a checkpoint on tokens; prints one JSON line.",
      {{"--checkpoint", &words.checkpoint, "FILE.h5", {.required = true, .path = true}},
       {"--data", &words.data, "PREFIX of .bin/.idx", {.required = true, .path = true}},
       {"--sequence", &words.sequence, "tokens a sample; default: as trained", {.least = 1}},
       {"--stride",
        &words.stride,
        "tokens between the beginnings of samples; default: the sequence. One more than "
        "--sequence counts as transformers does, which wants no target from the next sample",
        {.least = 1}},
       {"--max-tokens", &words.max_tokens, "stop after so many; default: all", {.least = 1}},
       {"--micro-batch",
        &words.micro_batch,
        "samples at a time",
        {.shows_default = true, .least = 1}},
       {"--threads",
        &words.threads,
        "compute threads per rank",
        {.shows_default = true, .least = 1}},
       {"--precision",
        &words.precision,
        "float32, float64 or bfloat16",
        {.shows_default = true, .words = precision_names()}},
       {"--device",
        &words.device,
        "cpu, or cuda: a device for each rank of a node",
        {.shows_default = true, .words = {"cpu", "cuda"}}}},
      "\nExample: rondo eval --checkpoint runs/demo/checkpoints/step-00000200.h5 --data held-out"};
  return line.parse(arguments, speaks).has_value();
}

}  // namespace

int eval_command(const Arguments& arguments) {
  EvalWords words;
  run_job([&](bool speaks) { return read_words(arguments, speaks, words); },
          [&](Communicator& host) { evaluate_checkpoint(words, host); });
  return 0;
}

}  // namespace rondo
