#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "base/program_words.h"
#include "launcher/commands/command_line.h"
#include "launcher/commands/commands.h"
#include "launcher/commands/source_files.h"

namespace rondo {
namespace {

constexpr const char* bench_examples = R"(
Without a word: compare, then pipeline. What follows a word is that benchmark's own (--help lists it).
  compare      one rank and two, beside PyTorch with transformers and DistributedDataParallel
  pipeline     two stages, beside torch.distributed.pipelining
  checkpoint   saving and loading a gigabyte, beside PyTorch's ways and dd
  device       one CUDA device, beside PyTorch with transformers (a build with RONDO_CUDA=ON)
  hosts        two hosts behind a slow link, beside DistributedDataParallel (root)
  scaling      tokens a second by ranks, on one machine or over hosts, beside the plan's and DDP's
  gradients    a weight that one stage uses several times, beside PyTorch's split backward

Examples:
  rondo bench
  rondo bench checkpoint --rounds 5
  rondo bench scaling --ranks 1,2,4 --maps cycle,none
  rondo bench scaling --hosts 2 --rate 100mbit
)";

}  // namespace

int bench_command(const Arguments& arguments) {
  std::string benchmark;
  const CommandLine line{"bench",
                         "Measures rondo beside its peers on this machine.",
                         {{"benchmark",
                           &benchmark,
                           "which one; its own options follow",
                           {.words = {"compare", "pipeline", "checkpoint", "device", "hosts",
                                      "gradients", "scaling"}}}},
                         bench_examples};
  const bool names_it = !arguments.empty() && !arguments[0].starts_with("--");
  const bool asks_for_help = !arguments.empty() && arguments[0].starts_with("--help");
  if (names_it || asks_for_help) {
    if (!line.parse({arguments[0]})) return 0;
  }
  const std::string file = source_file("bench", "benchmarks/run.sh");
  std::vector<std::string> words = {file};
  words.insert(words.end(), arguments.begin(), arguments.end());
  execv(file.c_str(), program_words(words).data());
  throw std::runtime_error(fmt::format("{}: {}", file, std::strerror(errno)));
}

}  // namespace rondo
