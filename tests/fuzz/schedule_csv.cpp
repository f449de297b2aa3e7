// A schedule as CSV.
#include "distributed/plan/schedule/lower.h"
#include "distributed/plan/schedule/schedule_text.h"
#include "tests/fuzz/fuzz.h"

namespace rondo {

void read_input(std::string_view bytes) {
  Program program;
  if (!takes([&] { program = from_csv(std::string(bytes)); })) return;
  takes([&] { computations_of(program); });
  require(to_csv(from_csv(to_csv(program))) == to_csv(program));
}

}  // namespace rondo
