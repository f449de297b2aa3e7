// Which layer uses which weights, what that stores, and what the passes over them are worth.
//   definition STRATEGY DEPTH UNIQUE        definition cycle 12 4
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/user_error.h"
#include "model/definition/model_definition.h"
#include "model/definition/parameters.h"
#include "model/definition/pass_worth.h"

namespace {

rondo::ModelDefinition define(const std::string& strategy, int depth, int unique) {
  const rondo::ModelSpec spec{.hidden = 256,
                              .depth = depth,
                              .heads = 4,
                              .kv_heads = 4,
                              .head_dim = 64,
                              .ffn = 1024,
                              .vocab = 258};
  return {spec, rondo::make_sharing_map({.strategy = strategy, .unique = unique}, depth)};
}

void describe(const rondo::ModelDefinition& model) {
  const rondo::ParameterCounts counts = rondo::count_parameters(model);
  std::printf("%s", rondo::draw(model.sharing).c_str());
  std::printf("stored %ld parameters, executed %ld\n", counts.unique, counts.executed);
  if (const auto loop = rondo::loop_size(model)) {
    std::printf("%d passes, worth %.0f parameters outside the embedding (a published fit)\n",
                loop->passes, loop->equivalent(rondo::pass_exponent));
  }
}

}  // namespace

int main(int count, char** words) {
  if (count != 4) return std::fprintf(stderr, "definition STRATEGY DEPTH UNIQUE\n"), 2;
  try {
    describe(define(words[1], std::atoi(words[2]), std::atoi(words[3])));
  } catch (const rondo::UserError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
