#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/seconds_since.h"
#include "base/user_error.h"
#include "checkpoint/format/checkpoint_reader.h"
#include "launcher/commands/command_line.h"
#include "launcher/commands/commands.h"
#include "model/definition/element.h"
#include "model/sampling.h"
#include "training/machine/devices.h"
#include "training/models/frozen_model.h"
#include "training/start/stored_tokenizer.h"

namespace rondo {
namespace {

constexpr const char* generate_examples = R"(
Examples:
  rondo generate --checkpoint runs/demo/checkpoints/step-00001000.h5 --prompt "It is a truth"
  rondo generate --checkpoint smollm2.h5 --prompt "Once upon" --temperature 0.8 --top-p 0.9 --seed 3
  rondo generate --checkpoint model.h5 --tokenizer hf:tokenizer.json --prompt "The kernel" --json
)";

struct GenerateWords {
  std::string checkpoint;
  std::string prompt;
  std::string tokenizer;
  std::string precision = "float32";
  std::string device = "cpu";
  Sampling sampling;
  uint64_t seed = 0;
  int64_t max_tokens = 64;
  int threads = 1;
  bool ignore_end = false;
  bool json = false;
};

struct Generated {
  std::vector<int64_t> prompt;
  std::vector<int64_t> tokens = {};
  double prompt_s = 0.0;
  double tokens_s = 0.0;
};

std::vector<int64_t> encode_prompt(const GenerateWords& words, const Tokenizer& tokenizer,
                                   const ModelSpec& model) {
  std::vector<int64_t> tokens;
  try {
    tokenizer.encode(words.prompt, tokens);
  } catch (const std::invalid_argument&) {
    throw UserError("--prompt: not UTF-8, which this tokenizer reads");
  }
  if (tokens.empty()) throw UserError("--prompt: there is no token in it; give some text");
  for (const int64_t token : tokens) {
    if (token < model.vocab) continue;
    throw UserError(
        fmt::format("--tokenizer {}: token {} is beyond the model's vocabulary of {}; give the "
                    "tokenizer that the model was trained with",
                    tokenizer.name, token, model.vocab));
  }
  return tokens;
}

/// Calls `show` with each token as it comes.
Generated generate(const Stage& stage, std::vector<int64_t> prompt, const GenerateWords& words,
                   const std::vector<int64_t>& ends, const std::function<void(int64_t)>& show) {
  const at::NoGradGuard no_grad;
  Generated result{.prompt = std::move(prompt)};
  std::mt19937_64 generator(words.seed);
  SequenceMemory memory = stage.empty_memory();
  const auto tokens = at::dtype(at::kLong).device(stage.head().value.device());
  auto start = std::chrono::steady_clock::now();
  at::Tensor next = at::tensor(result.prompt, tokens);  // [positions fed]
  for (int64_t i = 0; i < words.max_tokens; ++i) {
    const at::Tensor x = stage.next_features(next, memory);             // [fed, hidden]
    const at::Tensor logits = stage.head().value.mv(x[x.size(0) - 1]);  // [vocab]
    if (i == 0) {
      result.prompt_s = seconds_since(start);
      start = std::chrono::steady_clock::now();
    }
    const int64_t token = choose_token(logits, words.sampling, generator);
    if (std::find(ends.begin(), ends.end(), token) != ends.end()) break;
    result.tokens.push_back(token);
    show(token);
    next = at::tensor({token}, tokens);
  }
  result.tokens_s = seconds_since(start);
  return result;
}

/// A vocabulary may be padded beyond the tokenizer's.
std::string text_of(const Tokenizer& tokenizer, std::span<const int64_t> tokens) {
  std::string text;
  for (const int64_t token : tokens) {
    text += token < tokenizer.vocab ? tokenizer.decode({&token, 1}) : fmt::format("<{}>", token);
  }
  return text;
}

void print_json(const Generated& result, const Tokenizer& tokenizer) {
  const nlohmann::ordered_json json = {{"prompt", text_of(tokenizer, result.prompt)},
                                       {"text", text_of(tokenizer, result.tokens)},
                                       {"prompt_tokens", result.prompt},
                                       {"tokens", result.tokens},
                                       {"prompt_s", result.prompt_s},
                                       {"tokens_s", result.tokens_s}};
  std::cout << json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
}

void speak(const GenerateWords& words) {
  const CheckpointReader reader(words.checkpoint);
  const auto [tokenizer, ends] =
      words.tokenizer.empty() ? open_tokenizer_of(reader) : open_named_tokenizer(words.tokenizer);
  std::vector<int64_t> prompt = encode_prompt(words, tokenizer, reader.header().model.spec);
  const at::Device device = choose_device(words.device, 0, "--device cuda", "leave --device out");
  at::set_num_threads(words.threads);
  const FrozenModel model(reader, Precision::parse(words.precision),
                          static_cast<int64_t>(prompt.size()) + words.max_tokens, device);
  if (!words.json) std::cout << words.prompt << std::flush;
  const auto show = [&, &tokenizer = tokenizer](int64_t token) {
    if (!words.json) std::cout << text_of(tokenizer, {&token, 1}) << std::flush;
  };
  const Generated result = generate(model.stage(), std::move(prompt), words,
                                    words.ignore_end ? std::vector<int64_t>() : ends, show);
  if (words.json) return print_json(result, tokenizer);
  std::cout << "\n" << std::flush;
  std::cerr << fmt::format("{} tokens at {:.3g} a second, after {} of the prompt in {:.3g} s\n",
                           result.tokens.size(),
                           static_cast<double>(result.tokens.size()) / result.tokens_s,
                           result.prompt.size(), result.prompt_s);
}

}  // namespace

int generate_command(const Arguments& arguments) {
  GenerateWords words;
  const CommandLine line{
      "generate",
      "Goes on with a text, one token after the other.",
      {{"--checkpoint", &words.checkpoint, "FILE.h5", {.required = true, .path = true}},
       {"--prompt", &words.prompt, "text to go on with", {.required = true}},
       {"--max-tokens",
        &words.max_tokens,
        "maximum number of tokens",
        {.shows_default = true, .least = 1, .most = 1 << 20}},
       {"--temperature",
        &words.sampling.temperature,
        "0: always the likeliest token",
        {.shows_default = true, .least = 0, .most = 1e6}},
       {"--top-p",
        &words.sampling.top_p,
        "choose among the likeliest tokens, which together have this probability",
        {.shows_default = true, .least = 1e-9, .most = 1}},
       {"--seed", &words.seed, "random seed", {.shows_default = true}},
       {"--tokenizer",
        &words.tokenizer,
        "bytes, sentencepiece:FILE or hf:tokenizer.json; default: the checkpoint's own",
        {.path = true}},
       {"--ignore-end", &words.ignore_end, "go on after a token that ends a text"},
       {"--precision",
        &words.precision,
        "float32, float64 or bfloat16",
        {.shows_default = true, .words = precision_names()}},
       {"--device",
        &words.device,
        "cpu or cuda",
        {.shows_default = true, .words = {"cpu", "cuda"}}},
       {"--threads", &words.threads, "compute threads", {.shows_default = true, .least = 1}},
       {"--json", &words.json, "print one JSON line with texts, token ids and seconds"}},
      generate_examples};
  const std::optional<GivenOptions> given = line.parse(arguments);
  if (!given) return 0;
  for (const char* option : {"--top-p", "--seed"}) {
    if (words.sampling.temperature > 0 || !given->contains(option)) continue;
    throw UserError(fmt::format("{}: nothing is drawn at --temperature 0; raise it", option));
  }
  speak(words);
  return 0;
}

}  // namespace rondo
