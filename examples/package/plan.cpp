// Plans one model, shared and unshared, for the same devices, without any of them.
//   plan RANKS        plan 8
#include "distributed/plan/plan.h"

#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/user_error.h"

namespace {

rondo::PlanRequest request(const std::string& strategy, int world) {
  const rondo::ModelSpec spec{.hidden = 2048,
                              .depth = 24,
                              .heads = 16,
                              .kv_heads = 16,
                              .head_dim = 128,
                              .ffn = 8192,
                              .vocab = 32000};
  rondo::PlanRequest request;
  request.workload.model = {spec, rondo::make_sharing_map({.strategy = strategy, .unique = 6}, 24)};
  request.workload.sequence = 2048;
  request.workload.micro_batch = 1;
  request.workload.compute_bytes = 2;
  request.machine = {.ranks_per_node = 4,
                     .flops_per_s = 4e14,
                     .memory_bytes_per_s = 3e12,
                     .memory_bytes = 80'000'000'000,
                     .intra = {5e-6, 2e11},
                     .inter = {1e-5, 3e9}};
  request.world = world;
  request.global_batch = 16 * world;
  request.pipeline = 0;  // open
  return request;
}

}  // namespace

int main(int count, char** words) {
  const int world = count == 2 ? std::atoi(words[1]) : 0;
  if (world < 1) return std::fprintf(stderr, "plan RANKS\n"), 2;
  try {
    for (const std::string strategy : {"cycle", "sequence"}) {
      const rondo::Plan plan = rondo::make_plan(request(strategy, world));
      std::printf("%-9s %s\n", strategy.c_str(), rondo::explain(plan).c_str());
      std::printf("          step %.3f s, bubble %.1f %%, memory %.1f GB a rank\n",
                  plan.chosen.step_s, 100 * plan.chosen.bubble, plan.chosen.most_memory() / 1e9);
    }
  } catch (const rondo::UserError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
