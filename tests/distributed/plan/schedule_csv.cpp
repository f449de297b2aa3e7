// Prints a schedule for comparison with another implementation: KIND PIPELINE SIGNS MICROBATCHES.
#include <fmt/format.h>

#include <exception>
#include <string>

#include "distributed/plan/schedule.h"
#include "distributed/plan/schedule_text.h"

int main(int argc, char** argv) try {
  if (argc != 5)
    throw std::invalid_argument("usage: schedule_csv KIND PIPELINE SIGNS MICROBATCHES");
  const rondo::Placement placement{std::stoi(argv[2]), argv[3], {}};
  const rondo::ScheduleOptions options{rondo::parse_schedule(argv[1]), std::stoi(argv[4])};
  fmt::print("{}", rondo::to_csv(rondo::generate(options, placement)));
  return 0;
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 1;
}
