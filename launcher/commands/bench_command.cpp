#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "base/user_error.h"
#include "launcher/commands/command_line.h"
#include "launcher/commands/commands.h"

namespace rondo {
namespace {

constexpr const char* bench_examples = R"(
Without a word: compare, then pipeline. What follows a word is that benchmark's own (--help lists it).
  compare      one rank and two, beside PyTorch with transformers and DistributedDataParallel
  pipeline     two stages, beside torch.distributed.pipelining
  checkpoint   saving and loading a gigabyte, beside PyTorch's ways and dd
  device       one CUDA device, beside PyTorch with transformers (a build with RONDO_CUDA=ON)
  hosts        two hosts behind a slow link, beside DistributedDataParallel (root)
  gradients    a weight that one stage uses several times, beside PyTorch's split backward

Examples:
  rondo bench
  rondo bench checkpoint --rounds 5
)";

namespace fs = std::filesystem;

/// The scripts compare with PyTorch, so they live with the sources, where it is set up: in
/// $RONDO_SOURCE, or above the folder of this program, as build/rondo lies.
std::string script() {
  constexpr const char* name = "benchmarks/run.sh";
  if (const char* source = std::getenv("RONDO_SOURCE")) {
    const fs::path file = fs::path(source) / name;
    if (fs::exists(file)) return file.string();
    throw UserError(fmt::format("bench: RONDO_SOURCE = {}: there is no {} in it", source, name));
  }
  const fs::path program = fs::read_symlink("/proc/self/exe");
  for (fs::path folder = program.parent_path(); folder != folder.parent_path();
       folder = folder.parent_path()) {
    if (fs::exists(folder / name)) return (folder / name).string();
  }
  throw UserError(fmt::format(
      "bench: there is no {} above {}; set RONDO_SOURCE to the folder of rondo's sources", name,
      program.string()));
}

}  // namespace

int bench_command(const Arguments& arguments) {
  std::string benchmark;
  const CommandLine line{
      "bench",
      "Measures rondo beside its peers on this machine.",
      {{"benchmark",
        &benchmark,
        "which one; its own options follow",
        {.words = {"compare", "pipeline", "checkpoint", "device", "hosts", "gradients"}}}},
      bench_examples};
  const bool names_it = !arguments.empty() && !arguments[0].starts_with("--");
  const bool asks_for_help = !arguments.empty() && arguments[0] == "--help";
  if (names_it || asks_for_help) {
    if (!line.parse({arguments[0]})) return 0;
  }
  const std::string file = script();
  std::vector<char*> call = {const_cast<char*>(file.c_str())};
  for (const std::string& word : arguments) call.push_back(const_cast<char*>(word.c_str()));
  call.push_back(nullptr);
  execv(file.c_str(), call.data());
  throw std::runtime_error(fmt::format("{}: {}", file, std::strerror(errno)));
}

}  // namespace rondo
