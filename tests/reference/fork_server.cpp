// Loaded before rondo (LD_PRELOAD): the program starts once, with half a second of LibTorch, and
// each time that a test asks for it runs its main in a fork. See Starter in rondo_runs.py.
//
// stdin   number of words, folder to run in, files for stdout and stderr, words; each ends with a 0
// stdout  the wait status of that run, in a line
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

namespace {

using Main = int (*)(int, char**, char**);
using Procedure = void (*)();
using StartMain = int (*)(Main, int, char**, Procedure, Procedure, Procedure, void*);

Main rondo_main = nullptr;

struct Request {
  std::vector<std::string> words;  // the first is the program
  std::string folder;
  std::string standard_output;
  std::string standard_error;
};

std::string read_field() {
  std::string field;
  std::getline(std::cin, field, '\0');
  return field;
}

/// False where nobody asks any more.
bool read_request(Request& request) {
  const std::string count = read_field();
  if (!std::cin) return false;
  request.folder = read_field();
  request.standard_output = read_field();
  request.standard_error = read_field();
  request.words.resize(std::stoul(count));
  for (std::string& word : request.words) word = read_field();
  return true;
}

void redirect(int descriptor, const std::string& file, int flags) {
  constexpr int access = 0644;
  const int opened = open(file.c_str(), flags, access);
  if (opened < 0 || dup2(opened, descriptor) < 0) std::abort();
  close(opened);
}

[[noreturn]] void run(Request request, char** environment) {
  redirect(STDIN_FILENO, "/dev/null", O_RDONLY);
  redirect(STDOUT_FILENO, request.standard_output, O_WRONLY | O_CREAT | O_TRUNC);
  redirect(STDERR_FILENO, request.standard_error, O_WRONLY | O_CREAT | O_TRUNC);
  if (chdir(request.folder.c_str()) != 0) std::abort();
  std::vector<char*> words;
  words.reserve(request.words.size() + 1);
  for (std::string& word : request.words) words.push_back(word.data());
  words.push_back(nullptr);
  std::exit(rondo_main(static_cast<int>(request.words.size()), words.data(), environment));
}

int serve(int /*count*/, char** /*words*/, char** environment) {
  unsetenv("LD_PRELOAD");  // what rondo starts is no server
  Request request;
  while (read_request(request)) {
    const pid_t child = fork();
    if (child == 0) run(request, environment);
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) return EXIT_FAILURE;
    std::cout << status << std::endl;
  }
  std::_Exit(EXIT_SUCCESS);
}

}  // namespace

/// glibc's, which is told of another main.
extern "C" int __libc_start_main(Main main, int count, char** words, Procedure begin, Procedure end,
                                 Procedure end_of_loader, void* stack_end) {
  rondo_main = main;
  void* const real = dlsym(RTLD_NEXT, "__libc_start_main");
  return reinterpret_cast<StartMain>(real)(serve, count, words, begin, end, end_of_loader,
                                           stack_end);
}
