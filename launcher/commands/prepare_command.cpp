#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>

#include "data/prepare.h"
#include "launcher/commands/command_line.h"
#include "launcher/commands/commands.h"
#include "launcher/reports/progress.h"

namespace rondo {
namespace {

constexpr const char* prepare_examples = R"(
Examples:
  rondo prepare --input a.txt b.txt --output corpus --tokenizer bytes
  rondo prepare --input books/*.txt --output corpus --holdout 0.05
  rondo prepare --input text.txt --output corpus --tokenizer sentencepiece:text.model --vocab 4096
  rondo prepare --input text.txt --output corpus --tokenizer hf:SmolLM2/tokenizer.json
  zcat shard-*.jsonl.gz | rondo prepare --input - --jsonl-key text --output corpus
  rondo prepare --input-list files.txt --output corpus
)";

void print_info(const std::string& prefix, const DatasetInfo& info) {
  std::cout << fmt::format(
      "{}.bin  {} tokens in {} document(s), {} bytes of text, unigram entropy {:.3f} bits a byte\n",
      prefix, info.tokens, info.documents, info.bytes, info.unigram_entropy);
}

}  // namespace

int prepare_command(const Arguments& arguments) {
  PrepareOptions options;
  const CommandLine line{
      "prepare",
      "Turns text files, one document each, into PREFIX.bin and PREFIX.idx.",
      {{"--input", &options.inputs, "text files; - is the standard input", {.path = true}},
       {"--input-list",
        &options.input_list,
        "FILE that names more of them, one a line",
        {.path = true}},
       {"--jsonl-key", &options.jsonl_key,
        "KEY: inputs are JSON Lines, each a document with its text under KEY"},
       {"--output",
        &options.output,
        "PREFIX of the files to write",
        {.required = true, .path = true}},
       {"--tokenizer",
        &options.tokenizer,
        "bytes, sentencepiece:FILE or hf:tokenizer.json",
        {.shows_default = true, .path = true}},
       {"--vocab", &options.vocab, "train FILE with so many pieces if it does not exist"},
       {"--holdout", &options.holdout, "fraction of each document for PREFIX.validation"}},
      prepare_examples};
  if (!line.parse(arguments)) return 0;
  std::optional<ByteProgress> progress;
  const PrepareReport report = prepare(options, [&](int64_t done, int64_t total) {
    if (!progress) progress.emplace(StatusLine(std::cerr, terminal_width(STDERR_FILENO)), total);
    progress->show(done);
  });
  if (report.trained_tokenizer) std::cout << "trained " << options.tokenizer << "\n";
  print_info(options.output, report.train);
  const std::string held_out = options.output + ".validation";
  if (report.validation) {
    print_info(held_out, *report.validation);
  } else if (std::filesystem::exists(held_out + ".bin")) {
    std::cout << fmt::format(
        "{}.bin was there before and stays; text that it held out may now be in {}.bin\n", held_out,
        options.output);
  }
  return 0;
}

}  // namespace rondo
