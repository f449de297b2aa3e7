#include "distributed/plan/cost.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "model/definition/attention_window.h"
#include "model/definition/parameters.h"

namespace rondo {
namespace {

/// Elements; the alignment of components in `ComponentStore`.
constexpr int64_t alignment = 32;
/// Sums of at most this many bytes go through a tree, larger ones around a ring.
constexpr double tree_bytes = 32 << 10;

int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

/// What sends around a ring of `members` take, each once around being a pass.
struct Ring {
  int64_t members = 1;
  LinkCost link = {};  ///< the slowest

  int64_t sent_bytes(int64_t bytes, int64_t passes) const {
    return passes * (members - 1) * bytes / members;
  }
  /// Without the additions.
  double seconds(int64_t bytes, int64_t passes) const {
    const double hops = static_cast<double>(passes * (members - 1));
    const double tree_hops = 2.0 * std::bit_width(static_cast<uint64_t>(members - 1));
    const bool small = static_cast<double>(bytes) <= tree_bytes;
    const double waits = small ? std::min(hops, tree_hops) : hops;
    const double moved = static_cast<double>(sent_bytes(bytes, passes));
    return waits * link.latency_s + (link.bytes_per_s > 0.0 ? moved / link.bytes_per_s : 0.0);
  }
};

/// The ring of a group's world ranks leaves a node unless all of them are there.
Ring ring_of(const std::vector<int>& ranks, const WorldLayout& layout, const Machine& machine) {
  const int first = layout.world_rank(0, ranks.front());
  const int last = layout.world_rank(layout.replicas - 1, ranks.back());
  const bool one_node = first / machine.ranks_per_node == last / machine.ranks_per_node;
  return {static_cast<int64_t>(ranks.size()) * layout.replicas,
          one_node ? machine.intra : machine.inter};
}

void add(ChunkCost& sum, const ChunkCost& part) {
  sum.forward_s += part.forward_s;
  sum.backward_input_s += part.backward_input_s;
  sum.backward_weight_s += part.backward_weight_s;
  sum.live_bytes += part.live_bytes;
}

}  // namespace

CostModel::CostModel(const Workload& workload, const Machine& machine)
    : workload_(workload), machine_(machine), uses_(uses_of(workload.parts())) {
  for (const ParameterSpec& parameter :
       parameters({workload.model, workload.map, workload.relaxation_rank})) {
    const std::string component = to_string(parameter.component);
    const bool matrix = parameter.role == Role::matrix;
    elements_[component] += parameter.count();
    matrix_elements_[component] += matrix ? parameter.count() : 0;
    matrices_[component] += matrix ? 1 : 0;
  }
  for (int half = 0; half < 2 * workload.map.depth(); ++half) halves_.push_back(half_layer(half));
  for (const Uses::Bundle& bundle : uses_.bundles) {
    int64_t size = 0;
    for (int c : bundle.components) {
      size += round_up(elements_.at(uses_.components[static_cast<size_t>(c)]), alignment);
    }
    bundle_elements_.push_back(size);
  }
}

double CostModel::tokens() const {
  return static_cast<double>(workload_.micro_batch * workload_.sequence);
}

int64_t CostModel::message_bytes() const {
  return workload_.micro_batch * workload_.sequence * workload_.model.hidden *
         workload_.compute_bytes;
}

int64_t CostModel::workspace_bytes() const {
  int64_t most = 0;
  for (size_t half = 0; workload_.recompute && half < halves_.size(); half += 2) {
    most = std::max(most, halves_[half].live_bytes + halves_[half + 1].live_bytes);
  }
  return most;
}

/// Causal attention leaves half of the keys out. LibTorch's kernels compute a mask's hidden scores
/// too, so that a window shorter than the text costs all of them.
int64_t CostModel::scored_tokens(int layer) const {
  const int64_t window = window_of(workload_.model, layer);
  const bool masked = window > 0 && window < workload_.sequence;
  return masked ? 2 * workload_.sequence : workload_.sequence;
}

/// Each matrix weight costs two operations a token forward, and as many for either gradient. Causal
/// attention multiplies queries with half of the keys and the result with half of the values (see
/// scored_tokens); its backward, twice that, is all for the input. What is kept is touched twice
/// forward, thrice back.
ChunkCost CostModel::half_layer(int half) const {
  const ModelSpec& model = workload_.model;
  const int layer = half / 2;
  const bool attends = half % 2 == 0;
  const Slot slot = attends ? Slot::attention : Slot::feed_forward;
  const std::string component = fmt::format("{}/{}", slot.name, workload_.map.id(slot, layer));
  int64_t weights = matrix_elements_.at(component);
  if (workload_.relaxation_rank > 0) {
    weights += matrix_elements_.at(fmt::format("adapters/{}/{}", layer, slot.name));
  }
  const int64_t queries = model.heads * model.head_dim;
  const int64_t keys = model.kv_heads * model.head_dim;
  // Input and norm; projections, rotated projections and result; or both factors and the product.
  const int64_t kept =
      2 * model.hidden + (attends ? 3 * (queries + keys) : matrices_.at(component) * model.ffn);
  const double product_s = 2.0 * static_cast<double>(weights) * tokens() / machine_.flops_per_s;
  const double attention_s = attends ? 2.0 * static_cast<double>(scored_tokens(layer) * queries) *
                                           tokens() / machine_.flops_per_s
                                     : 0.0;
  const int64_t live = workload_.micro_batch * workload_.sequence * kept * workload_.compute_bytes;
  const double touch = touch_s(static_cast<double>(live));
  ChunkCost work{product_s + attention_s + 2.0 * touch, product_s + 2.0 * attention_s + 2.0 * touch,
                 product_s + touch, live};
  if (workload_.recompute) work.backward_input_s += work.forward_s;
  return work;
}

/// Rows are copied forward and added to the gradient backward.
ChunkCost CostModel::embedding() const {
  const double stream = static_cast<double>(message_bytes());
  const double ratio =
      static_cast<double>(workload_.master_bytes) / static_cast<double>(workload_.compute_bytes);
  return {touch_s(2.0 * stream), 0.0, touch_s(stream * (1.0 + 2.0 * ratio)), 0};
}

/// `head_loss` makes the logits, a few rows at a time, and from them both gradients, all in
/// forward; the logits are touched about four times. The final norm's tape is three streams.
ChunkCost CostModel::head() const {
  const double logits = tokens() * static_cast<double>(workload_.model.vocab);
  const double product_s =
      2.0 * logits * static_cast<double>(workload_.model.hidden) / machine_.flops_per_s;
  const double stream_s = touch_s(static_cast<double>(message_bytes()));
  const double logits_s = touch_s(4.0 * logits * static_cast<double>(workload_.compute_bytes));
  const double teacher_s = tokens() * workload_.teacher_flops / machine_.flops_per_s;
  return {3.0 * product_s + logits_s + 2.0 * stream_s + teacher_s, 3.0 * stream_s, 0.0,
          3 * message_bytes()};
}

ChunkCost CostModel::layers(Chunk chunk, bool split) const {
  ChunkCost sum{0.0, 0.0, 0.0, 0};
  for (int half = chunk.begin; half < chunk.end; ++half)
    add(sum, halves_[static_cast<size_t>(half)]);
  if (workload_.recompute && !split) {
    sum.live_bytes = ((chunk.end + 1) / 2 - chunk.begin / 2) * message_bytes();
  }
  return sum;
}

ChunkCost CostModel::chunk(Chunk chunk, bool split) const {
  ChunkCost sum = layers(chunk, split);
  if (chunk.embeds) add(sum, embedding());
  if (chunk.heads) add(sum, head());
  return sum;
}

int64_t CostModel::buffer_elements(const std::vector<std::string>& components,
                                   int64_t members) const {
  int64_t size = 0;
  for (const std::string& component : components) {
    size = round_up(size, alignment) + elements_.at(component);
  }
  return round_up(size, alignment * members);
}

/// AdamW reads gradient, master weight and both moments and writes the last three; clipping passes
/// the gradient twice more, the norm reads a shard, and clearing writes all.
CostModel::Upkeep CostModel::upkeep(const Holding& group, int64_t members) const {
  int64_t elements = 0;
  for (int b : group.bundles) elements += bundle_elements_[static_cast<size_t>(b)];
  elements = round_up(elements, alignment * members);
  const int64_t shard = elements / members;
  const int64_t owned = workload_.zero == 1 ? shard : elements;
  const int64_t master = workload_.master_bytes;
  const int64_t compute = workload_.compute_bytes;
  const int64_t copies = master == compute ? 0 : 1;  // of the weights, as masters
  const int64_t touched = owned * (9 * master + compute) + (shard + elements) * master;
  return {elements, elements * (compute + master) + owned * (2 + copies) * master,
          touch_s(static_cast<double>(touched))};
}

void CostModel::set_split(bool split, const Placement& placement, PlacementCosts& costs) const {
  costs.costs.chunks.clear();
  for (int k = 0; k < placement.chunks(); ++k) {
    costs.costs.chunks.push_back(chunk(placement.chunk(k), split));
  }
}

PlacementCosts CostModel::placement(const Placement& placement, int replicas, bool split) const {
  PlacementCosts result;
  const WorldLayout layout{placement.pipeline, replicas};
  const int64_t sums = workload_.zero == 1 ? 1 : 2;  // times around the ring
  result.groups = holdings(uses_, placement, replicas);
  result.state_bytes.assign(static_cast<size_t>(placement.pipeline), 0);
  std::vector<double> update_s(result.state_bytes.size(), 0.0);
  std::vector<double> gathered_s(result.state_bytes.size(), 0.0);
  std::vector<double> ready_s(static_cast<size_t>(placement.chunks()), 0.0);
  for (const Holding& group : result.groups) {
    const std::vector<int>& ranks = group.ranks;
    const Ring ring = ring_of(ranks, layout, machine_);
    const Upkeep own = upkeep(group, ring.members);
    const int64_t gradients = own.elements * workload_.master_bytes;
    const int64_t weights = workload_.zero == 1 ? own.elements * workload_.compute_bytes : 0;
    result.reduce_bytes.push_back(ring.members * ring.sent_bytes(gradients, sums));
    result.gather_bytes.push_back(ring.members * ring.sent_bytes(weights, 1));
    for (int rank : ranks) {
      const auto r = static_cast<size_t>(rank);
      result.state_bytes[r] += own.state_bytes;
      update_s[r] += own.update_s;
      gathered_s[r] += weights > 0 ? ring.seconds(weights, 1) : 0.0;
    }
    if (ring.members == 1) continue;
    for (int k : group.chunks) {
      const auto rank = static_cast<size_t>(placement.rank_of(k));
      ready_s[static_cast<size_t>(k)] = gathered_s[rank];
    }
    // What arrives in the first pass is added: two operands and a sum.
    const double added = static_cast<double>(3 * ring.sent_bytes(gradients, 1));
    result.reductions.push_back({{}, group.chunks, ranks});
    result.costs.reduces.push_back(
        {ring.seconds(gradients, sums) + touch_s(added), ring.sent_bytes(gradients, sums)});
  }
  result.update_s = *std::max_element(update_s.begin(), update_s.end());
  set_split(split, placement, result);
  for (int from = 0; from < placement.pipeline; ++from) {
    for (int to = 0; to < placement.pipeline; ++to) {
      const bool near = layout.share_node(from, to, machine_.ranks_per_node);
      result.costs.links.push_back(near ? machine_.intra : machine_.inter);
    }
  }
  if (!machine_.reduces_overlap) {
    for (int k = 0; k < placement.chunks(); ++k) {
      ready_s[static_cast<size_t>(k)] = gathered_s[static_cast<size_t>(placement.rank_of(k))];
    }
  }
  result.costs.chunk_ready_s = std::move(ready_s);
  result.costs.rank_ready_s = std::move(gathered_s);
  result.costs.message_bytes = message_bytes();
  if (machine_.copies_messages) {
    result.costs.message_s = touch_s(2.0 * static_cast<double>(message_bytes()));
  }
  result.costs.reduces_overlap = machine_.reduces_overlap;
  return result;
}

}  // namespace rondo
