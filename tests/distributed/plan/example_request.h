// A request that the tests of the planner start from.
#pragma once

#include <string>

#include "base/user_error.h"
#include "distributed/plan/plan.h"

namespace rondo {

/// 24 layers of about 50 million weights, as in a model of a billion.
inline PlanRequest billion(const SharingOptions& sharing) {
  PlanRequest request;
  Workload& work = request.workload;
  work.model.spec.hidden = 2048;
  work.model.spec.depth = 24;
  work.model.spec.heads = work.model.spec.kv_heads = 16;
  work.model.spec.head_dim = 128;
  work.model.spec.ffn = 5440;
  work.model.spec.vocab = 32000;
  work.model.spec.tie_embeddings = false;
  work.model.sharing = make_sharing_map(sharing, 24);
  work.sequence = 2048;
  work.compute_bytes = 2;
  request.global_batch = 8;  // 16,384 tokens
  request.world = 4;
  request.pipeline = 4;
  request.machine.ranks_per_node = 4;
  request.machine.flops_per_s = 4e14;
  request.machine.memory_bytes_per_s = 3e12;
  request.machine.intra = {3e-6, 4e11};
  request.machine.inter = {6e-6, 5e10};
  return request;
}

/// Why there is no plan; empty where there is one.
inline std::string refusal(const PlanRequest& request) {
  try {
    make_plan(request);
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

}  // namespace rondo
