#include "launcher/commands/error_line.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <iostream>
#include <new>
#include <string_view>

#include "base/user_error.h"
#include "launcher/reports/paint.h"

namespace rondo {
namespace {

std::string first_line(const std::exception& error) {
  const std::string text = error.what();
  return text.substr(0, text.find('\n'));
}

}  // namespace

bool wants_memory(const std::exception& error) {
  if (dynamic_cast<const UserError*>(&error) != nullptr) return false;
  // LibTorch tells it in words only, on the CPU and on a GPU.
  constexpr std::array<std::string_view, 2> words = {"can't allocate memory", "out of memory"};
  const std::string line = first_line(error);
  return dynamic_cast<const std::bad_alloc*>(&error) != nullptr ||
         line.find(words[0]) != std::string::npos || line.find(words[1]) != std::string::npos;
}

std::string error_line(const std::exception& error) {
  if (dynamic_cast<const UserError*>(&error) != nullptr) return error.what();
  const std::string line = first_line(error);
  if (!wants_memory(error)) return line;
  // LibTorch's line begins with the place in its source.
  const size_t wish = std::min(line.find("you tried to allocate"), line.size());
  const std::string reason = wish < line.size() ? " (" + line.substr(wish) + ")" : "";
  return "out of memory; for training, distributed.zero=1, train.recompute=layer or a smaller "
         "train.micro_batch take less" +
         reason;
}

void print_error(const std::exception& error) {
  const std::string line = error_line(error);
  if (line.empty()) return;
  std::cerr << painted("rondo:", Paint::bad, STDERR_FILENO) << " " << line << std::endl;
}

}  // namespace rondo
