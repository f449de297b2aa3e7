// rondo: trains language models whose layers share weights.
#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <map>
#include <optional>

#include "base/nearest.h"
#include "base/user_error.h"
#include "launcher/commands/command_line.h"
#include "launcher/commands/commands.h"
#include "launcher/commands/error_line.h"
#include "launcher/commands/job.h"
#include "launcher/commands/manual.h"
#include "launcher/lost_files.h"
#include "launcher/version.h"

namespace rondo {
namespace {

struct Command {
  int (*run)(const Arguments&);
  std::string about;
  bool starts_ranks = false;  ///< else, under mpirun, its first process does it for all
};

const std::map<std::string, Command>& commands() {
  static const std::map<std::string, Command> table = {
      {"train", {train_command, "train a model, alone or under mpirun", true}},
      {"plan", {plan_command, "choose placement and schedule for any world, and price a step"}},
      {"prepare", {prepare_command, "turn text into tokens"}},
      {"convert", {convert_command, "share, relax, untie; from and to Hugging Face folders"}},
      {"doctor", {doctor_command, "check a machine before a run", true}},
      {"eval", {eval_command, "measure a checkpoint on held-out tokens", true}},
      {"generate", {generate_command, "go on with a text"}},
      {"bench", {bench_command, "measure rondo beside its peers on this machine"}},
      {"watch", {watch_command, "show how runs go, live"}},
      {"report", {report_command, "make a page of one or several runs"}},
      {"inspect", {inspect_command, "show a checkpoint's sharing map and sizes"}},
  };
  return table;
}

void print_help() {
  std::cout
      << "rondo trains language models whose layers share weights.\n\nusage: rondo COMMAND …\n\n";
  for (const auto& [name, command] : commands()) {
    std::cout << "  " << name << std::string(10 - name.size(), ' ') << command.about << "\n";
  }
  std::cout << "\nrondo COMMAND --help explains each with examples; rondo --version prints what it "
               "was built with.\n";
}

std::string command_words() {
  std::string words;
  for (const auto& [name, command] : commands()) words += name + "\n";
  return words;
}

std::string manual() {
  ManualSection list{.name = "commands"};
  for (const auto& [name, command] : commands()) {
    list.list.emplace_back(name, command.about + "; see rondo-" + name + "(1)");
  }
  return manual_page("rondo", 1, "trains language models whose layers share weights",
                     {{.name = "synopsis", .text = "rondo COMMAND [OPTION...]"},
                      list,
                      {.name = "exit status",
                       .text = "0 done; 75 a run that has saved and is not finished; 2 the user's "
                               "mistake; 1 anything else."}});
}

/// What is no command is answered here, once for all ranks.
void answer(const Arguments& arguments, bool speaks) {
  if (arguments.empty() || arguments[0] == "--help" || arguments[0] == "-h" ||
      arguments[0] == "help") {
    if (speaks) print_help();
    return;
  }
  if (arguments[0] == completion_word || arguments[0] == manual_word) {
    if (speaks) std::cout << (arguments[0] == manual_word ? manual() : command_words());
    return;
  }
  if (arguments[0] == "--version") {
    if (speaks) std::cout << version_text();
    return;
  }
  std::vector<std::string> names;
  for (const auto& [name, command] : commands()) names.push_back(name);
  const std::optional<std::string> meant = near(arguments[0], names);
  throw UserError(
      fmt::format("there is no command '{}'; {}", arguments[0],
                  meant ? fmt::format("did you mean '{}'?", *meant) : "rondo --help lists them"));
}

int run(const Arguments& arguments) {
  const auto found = arguments.empty() ? commands().end() : commands().find(arguments[0]);
  if (found != commands().end()) {
    const bool does_it = found->second.starts_ranks || is_first_of_job();
    return does_it ? found->second.run({arguments.begin() + 1, arguments.end()}) : 0;
  }
  const auto read_words = [&](bool speaks) {
    answer(arguments, speaks);
    return false;
  };
  run_job(read_words, {});
  return arguments.empty() ? 2 : 0;
}

int exit_code_of(const Arguments& arguments) {
  try {
    const int code = run(arguments);
    if (std::cout << std::flush) return code;
    throw UserError("standard output is full or closed: what was printed is not complete");
  } catch (const UserError& error) {
    print_error(error);
    return 2;
  } catch (const std::exception& error) {
    print_error(error);
    return 1;
  }
}

/// Files are closed and ranks parted by now. Behind `return` from main LibTorch would take back its
/// operators one by one, which is a sixth of the time of a short command.
[[noreturn]] void leave(int code) {
  std::cout << std::flush;
  std::fflush(nullptr);
  std::_Exit(code);
}

}  // namespace
}  // namespace rondo

int main(int count, char** words) {
  rondo::name_lost_files();
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error with words
  rondo::leave(rondo::exit_code_of({words + 1, words + count}));
}
