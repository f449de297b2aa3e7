#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "base/user_error.h"
#include "launcher/commands/command_line.h"
#include "launcher/commands/commands.h"

namespace rondo {
namespace {

constexpr const char* examples = R"(
Without a word: compare, then pipeline. What follows a word is that benchmark's own (--help lists it).
  compare      one rank and two, beside PyTorch with transformers and DistributedDataParallel
  pipeline     two stages, beside torch.distributed.pipelining
  checkpoint   saving and loading a gigabyte, beside PyTorch's ways and dd
  device       one CUDA device, beside PyTorch with transformers (a build with RONDO_CUDA=ON)
  hosts        two hosts behind a slow link, beside DistributedDataParallel (root)

Examples:
  rondo bench
  rondo bench checkpoint --rounds 5
)";

/// The scripts compare with PyTorch, so they live with the sources, where it is set up.
std::string script() {
  const std::string file = RONDO_SOURCE_BENCHMARKS "/run.sh";
  if (std::filesystem::exists(file)) return file;
  throw UserError(
      fmt::format("bench: there is no {}: the benchmarks run where rondo was built, with its "
                  "sources; build it there again",
                  file));
}

}  // namespace

int bench_command(const Arguments& arguments) {
  std::string benchmark;
  CLI::App app("Measures rondo beside its peers on this machine.", "bench");
  app.add_option("benchmark", benchmark, "which one; its own options follow")
      ->check(one_of_words({"compare", "pipeline", "checkpoint", "device", "hosts"}));
  app.footer(examples);
  const bool names_it = !arguments.empty() && !arguments[0].starts_with("--");
  const bool asks_for_help = !arguments.empty() && arguments[0] == "--help";
  if (names_it || asks_for_help) {
    if (!parse_words(app, {arguments[0]})) return 0;
  }
  const std::string file = script();
  std::vector<char*> call = {const_cast<char*>(file.c_str())};
  for (const std::string& word : arguments) call.push_back(const_cast<char*>(word.c_str()));
  call.push_back(nullptr);
  execv(file.c_str(), call.data());
  throw std::runtime_error(fmt::format("{}: {}", file, std::strerror(errno)));
}

}  // namespace rondo
