// Writes the run that tensorboard_reader_test.py expects: steps 1 to 5, killed, resumed after 3.
#include <span>

#include "launcher/reports/tensorboard.h"

namespace {

void run(const std::filesystem::path& folder, int64_t first, int64_t last, double offset) {
  rondo::EventFile file(folder, first);
  for (int64_t step = first; step <= last; ++step) {
    const auto x = static_cast<double>(step);
    file.add(step, {{"loss", offset + 1 / x}, {"sent_bytes/reduce", 1e6 * x}});
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::span arguments(argv, static_cast<size_t>(argc));
  const std::filesystem::path folder = arguments[1];
  run(folder, 1, 5, 0.0);
  run(folder, 4, 6, 10.0);
}
