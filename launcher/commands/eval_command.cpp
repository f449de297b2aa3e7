#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numbers>

#include "base/quantity.h"
#include "base/run_error.h"
#include "base/user_error.h"
#include "checkpoint/format/checkpoint_reader.h"
#include "data/prepare.h"
#include "distributed/comm/agree.h"
#include "distributed/comm/mpi_session.h"
#include "launcher/commands/command_line.h"
#include "launcher/commands/commands.h"
#include "launcher/commands/job.h"
#include "launcher/config/compose.h"
#include "launcher/config/stored.h"
#include "launcher/reports/progress.h"
#include "model/definition/element.h"
#include "training/control/health.h"
#include "training/machine/devices.h"
#include "training/models/evaluation.h"
#include "training/models/frozen_model.h"
#include "training/models/local_model_files.h"
#include "training/start/corpora.h"
#include "training/start/stored_tokenizer.h"

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
  if (info && info->bytes > 0) {
    const double tokens_per_byte =
        static_cast<double>(info->tokens) / static_cast<double>(info->bytes);
    json["bits_per_byte"] = loss / std::numbers::ln2 * tokens_per_byte;
    json["unigram_bits_per_byte"] = info->unigram_entropy;
  }
  return json;
}

/// The whole model on every rank, whatever it was trained on.
Plan data_parallel_plan(const ModelDefinition& model, const Evaluation& evaluation, int ranks) {
  PlanRequest request;
  request.workload.model = model;
  request.workload.sequence = evaluation.sequence;
  request.workload.micro_batch = evaluation.micro_batch;
  request.world = ranks;
  request.global_batch = evaluation.micro_batch * ranks;
  return make_plan(request);
}

/// As the words say, else as trained; a model that was never trained here has no more positions
/// than it has learned.
int64_t choose_sequence(const EvalWords& words, const CheckpointHeader& header) {
  if (words.sequence > 0) return words.sequence;
  const Resolved stored = resolved_from_toml(header.config, words.checkpoint);
  const bool trained = stored.entries.contains("data.sequence");
  const int64_t positions = header.model.spec.positions;
  return trained || positions == 0 ? sequence_in(header.config) : positions;
}

SampleSource open_source(const EvalWords& words, int64_t sequence, int64_t vocab) {
  try {
    return {{{open_corpus("--data", words.data), 1.0}},
            {.sequence = sequence, .stride = words.stride, .shuffle = false, .vocab = vocab}};
  } catch (const UserError& error) {
    throw UserError(with_options_for_keys(error.what(), {{"data.sequence", "--sequence"}}));
  }
}

/// A number that JSON has no word for is no result. Collective.
void check_loss(double loss, const CheckpointReader& reader, Communicator& host) {
  if (std::isfinite(std::exp(loss))) return;
  agree(host, [&] {
    if (host.rank() > 0) throw RunError("");
    const std::string wrecked = first_not_finite(reader);
    throw RunError(fmt::format(
        "{}: the loss is {}, of which there is no perplexity{}; use the checkpoint before it",
        reader.file(), loss, wrecked.empty() ? "" : fmt::format(": {} is not finite", wrecked)));
  });
}

void evaluate_checkpoint(const EvalWords& words, Communicator& host) {
  std::optional<CheckpointReader> reader;
  ModelDefinition model;
  Evaluation evaluation{.micro_batch = words.micro_batch};
  std::optional<SampleSource> source;
  at::Device device = at::kCPU;
  agree(host, [&] {
    device = choose_device(words.device, rank_on_node(), "--device cuda", "leave --device out");
    reader.emplace(words.checkpoint);
    const CheckpointHeader& header = reader->header();
    check_positions(*reader, words.sequence);
    evaluation.sequence = choose_sequence(words, header);
    model = header.model;
    check_parameters(*reader, parameters(model));
    source.emplace(open_source(words, evaluation.sequence, model.spec.vocab));
    evaluation.samples = sample_count(words, *source, evaluation.sequence);
    const std::string warning =
        warning_of_tokenizers(tokenizer_of_data(words.data), header.tokenizer, words.checkpoint);
    if (host.rank() == 0) std::cerr << warning;
  });
  check_tokens({IndexedDataset(words.data)}, model.spec.vocab, host, status_of_first(host.rank()));
  at::set_num_threads(words.threads);
  LocalModel local(data_parallel_plan(model, evaluation, host.size()),
                   {.precision = Precision::parse(words.precision),
                    .sequence = evaluation.sequence,
                    .device = device},
                   {host, host});
  load(local, *reader, {.optimizer = false}, host);
  const auto tokens_of = [&](int64_t samples) {
    return format_si(static_cast<double>(samples * evaluation.sequence));
  };
  evaluation.show = [&, status = status_of_first(host.rank())](int64_t samples) {
    const bool over = samples == evaluation.samples;
    status(over
               ? ""
               : fmt::format("{} of {} tokens", tokens_of(samples), tokens_of(evaluation.samples)));
  };
  const double loss = *evaluate(local, *source, evaluation, {host, host});
  check_loss(loss, *reader, host);
  if (host.rank() != 0) return;
  const int64_t tokens = evaluation.samples * evaluation.sequence;
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
       {"--max-tokens",
        &words.max_tokens,
        "most tokens to measure, in whole samples; default: all",
        {.least = 1}},
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
      "\nExample: rondo eval --checkpoint runs/demo/checkpoints/step-00001000.h5 --data "
      "corpus.validation"};
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
