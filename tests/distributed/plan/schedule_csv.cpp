// Prints a schedule for comparison with another implementation: KIND PIPELINE SIGNS MICROBATCHES.
#include <fmt/format.h>

#include <exception>
#include <string>

#include "distributed/plan/route.h"
#include "distributed/plan/schedule/schedule.h"
#include "distributed/plan/schedule/schedule_text.h"

int main(int argc, char** argv) try {
  if (argc != 5)
    throw std::invalid_argument("usage: schedule_csv KIND PIPELINE SIGNS MICROBATCHES");
  const int pipeline = std::stoi(argv[2]);
  const std::string signs = argv[3];
  rondo::ModelDefinition model;  // one layer a chunk
  model.spec.depth = pipeline * static_cast<int>(signs.size());
  model.sharing = rondo::make_sharing_map({"none"}, static_cast<int>(model.spec.depth));
  const rondo::Placement placement = rondo::make_placement({pipeline, signs}, model);
  const rondo::ScheduleOptions options{rondo::parse_schedule(argv[1]), std::stoi(argv[4])};
  fmt::print("{}", rondo::to_csv(rondo::generate(options, placement)));
  return 0;
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 1;
}
