#include "distributed/plan/cost.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "distributed/comm/tree_limit.h"
#include "model/definition/attention_window.h"
#include "model/definition/parameters.h"

namespace rondo {
namespace {

/// `members` ranks that pass the parts of a buffer on in a ring. In a round each of them sends all
/// parts but one.
struct Ring {
  int64_t members = 1;
  LinkCost link = {};  ///< the slowest

  int64_t sent_bytes(int64_t bytes, int64_t rounds) const {
    return rounds * (members - 1) * bytes / members;
  }
  /// Without the additions.
  double seconds(int64_t bytes, int64_t rounds) const {
    const double hops = static_cast<double>(rounds * (members - 1));
    const double tree_hops = 2.0 * std::bit_width(static_cast<uint64_t>(members - 1));
    const bool small = bytes <= tree_bytes;
    const double waits = small ? std::min(hops, tree_hops) : hops;
    const double moved = static_cast<double>(sent_bytes(bytes, rounds));
    return waits * link.latency_s + link.transfer_s(moved);
  }
};

/// The ring of a group's world ranks leaves a node unless all of them are there. Through each node
/// it goes once, and so do the rings of the node's other ranks, which sum at about the same time.
Ring ring_of(const ComponentGroup& group, const Machine& machine) {
  const WorldLayout& layout = group.layout;
  const int first = layout.world_rank(0, group.pipeline_ranks.front());
  const int last = layout.world_rank(layout.replicas - 1, group.pipeline_ranks.back());
  const bool one_node = first / machine.ranks_per_node == last / machine.ranks_per_node;
  if (one_node) return {group.members(), machine.intra};
  const int64_t near = layout.replicas_on_node(machine.ranks_per_node) *
                       static_cast<int64_t>(group.pipeline_ranks.size());
  const int64_t rings = std::max<int64_t>(1, machine.ranks_per_node / near);
  return {group.members(), machine.inter_shared_by(rings)};
}

void add(ChunkCost& sum, const ChunkCost& part) {
  sum.forward_s += part.forward_s;
  sum.backward_input_s += part.backward_input_s;
  sum.backward_weight_s += part.backward_weight_s;
  sum.live_bytes += part.live_bytes;
}

}  // namespace

LinkCost Machine::inter_shared_by(int64_t ranks) const {
  if (node_bytes_per_s == 0.0) return inter;
  const double part = node_bytes_per_s / static_cast<double>(ranks);
  return {inter.latency_s, std::min(inter.bytes_per_s, part)};
}

Machine Machine::at(int64_t micro_batch) const {
  if (speeds.empty()) return *this;
  const auto above = std::find_if(speeds.begin(), speeds.end(), [&](const MeasuredSpeed& speed) {
    return speed.micro_batch >= micro_batch;
  });
  const MeasuredSpeed& high = above == speeds.end() ? speeds.back() : *above;
  const MeasuredSpeed& low = above == speeds.begin() || above == speeds.end() ? high : above[-1];
  const auto place = [](int64_t size) { return std::log(static_cast<double>(size)); };
  const double span = place(high.micro_batch) - place(low.micro_batch);
  const double part = span > 0.0 ? (place(micro_batch) - place(low.micro_batch)) / span : 0.0;
  const double slowness = low.slowness + part * (high.slowness - low.slowness);
  Machine machine = *this;
  machine.flops_per_s /= slowness;
  machine.memory_bytes_per_s /= slowness;
  machine.speeds.clear();
  return machine;
}

CostModel::CostModel(const Workload& workload, const Machine& machine)
    : workload_(workload),
      machine_(machine.at(workload.micro_batch)),
      uses_(uses_of(workload.model)) {
  for (const ParameterSpec& parameter : parameters(workload.model)) {
    MatrixCount& count = matrices_[parameter.component];
    if (parameter.role != Role::matrix) continue;
    ++count.matrices;
    count.elements += parameter.count();
  }
  for (int half = 0; half < uses_.halves(); ++half) halves_.push_back(half_cost(half));
}

double CostModel::tokens() const {
  return static_cast<double>(workload_.micro_batch * workload_.sequence);
}

int64_t CostModel::message_bytes(int half) const {
  const std::vector<int64_t> widths = stream_widths(workload_.model, half);
  return workload_.micro_batch * workload_.sequence *
         std::accumulate(widths.begin(), widths.end(), int64_t{0}) * workload_.compute_bytes;
}

int64_t CostModel::stream_bytes() const {
  return workload_.micro_batch * workload_.sequence * workload_.model.spec.hidden *
         workload_.compute_bytes;
}

int64_t CostModel::workspace_bytes() const {
  const auto branches = static_cast<size_t>(uses_.branches);
  int64_t most = 0;
  for (size_t half = 0; workload_.recompute && half < halves_.size(); half += branches) {
    int64_t layer = 0;
    for (size_t branch = 0; branch < branches; ++branch) layer += halves_[half + branch].live_bytes;
    most = std::max(most, layer);
  }
  return most;
}

/// Causal attention leaves half of the keys out. LibTorch's kernels compute a mask's hidden scores
/// too, so that a window shorter than the text costs all of them.
int64_t CostModel::scored_tokens(int layer) const {
  const int64_t window = window_of(workload_.model.spec, layer);
  const bool masked = window > 0 && window < workload_.sequence;
  return masked ? 2 * workload_.sequence : workload_.sequence;
}

/// Each matrix weight costs two operations a token forward, and as many for either gradient. Causal
/// attention multiplies queries with half of the keys and the result with half of the values (see
/// scored_tokens); its backward, twice that, is all for the input. What is kept is touched twice
/// forward, thrice back.
ChunkCost CostModel::half_cost(int half) const {
  const ModelSpec& model = workload_.model.spec;
  const HalfLayer place = half_layer(workload_.model, half);
  const Slot slot = workload_.model.branches[place.branch].weights;
  const bool attends = slot == Slot::attention;
  const Component component{Kind::slot, slot, workload_.model.sharing.id(slot, place.layer)};
  int64_t weights = matrices_.at(component).elements;
  if (workload_.model.relaxation_rank > 0) {
    weights += matrices_.at({Kind::adapter, slot, place.layer}).elements;
  }
  const int64_t queries = model.heads * model.head_dim;
  const int64_t keys = model.kv_heads * model.head_dim;
  // Scales keep the branch's result and the stream; the norm of a pass its input and its result.
  const int64_t beside = (model.branch_scales ? 2 * model.hidden : 0) +
                         (norm_after(workload_.model, half) ? 2 * model.hidden : 0);
  // Input and norm; projections, rotated projections and result; or both factors and the product.
  const int64_t kept =
      beside + 2 * model.hidden +
      (attends ? 3 * (queries + keys) : matrices_.at(component).matrices * model.ffn);
  const double product_s = 2.0 * static_cast<double>(weights) * tokens() / machine_.flops_per_s;
  const double attention_s = attends
                                 ? 2.0 * static_cast<double>(scored_tokens(place.layer) * queries) *
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
  const double stream = static_cast<double>(stream_bytes());
  const double ratio =
      static_cast<double>(workload_.master_bytes) / static_cast<double>(workload_.compute_bytes);
  return {touch_s(2.0 * stream), 0.0, touch_s(stream * (1.0 + 2.0 * ratio)), 0};
}

/// `head_loss` makes the logits, a few rows at a time, and from them both gradients, all in
/// forward; the logits are touched about four times. The final norm's tape is three streams.
ChunkCost CostModel::head() const {
  const double logits = tokens() * static_cast<double>(workload_.model.spec.vocab);
  const double product_s =
      2.0 * logits * static_cast<double>(workload_.model.spec.hidden) / machine_.flops_per_s;
  const double stream_s = touch_s(static_cast<double>(stream_bytes()));
  const double logits_s = touch_s(4.0 * logits * static_cast<double>(workload_.compute_bytes));
  const double teacher_s = tokens() * workload_.teacher_flops / machine_.flops_per_s;
  return {3.0 * product_s + logits_s + 2.0 * stream_s + teacher_s, 3.0 * stream_s, 0.0,
          3 * stream_bytes()};
}

ChunkCost CostModel::layers(HalfLayers halves, bool split) const {
  ChunkCost sum{0.0, 0.0, 0.0, 0};
  for (int half = halves.begin; half < halves.end; ++half) {
    add(sum, halves_[half]);
  }
  if (!workload_.recompute || split) return sum;
  sum.live_bytes = 0;  // the input of each layer, or of the part of it that is here
  for (int half = halves.begin; half < halves.end; ++half) {
    const bool begins = half == halves.begin || half % uses_.branches == 0;
    sum.live_bytes += begins ? message_bytes(half) : 0;
  }
  return sum;
}

ChunkCost CostModel::chunk(const Chunk& chunk, bool split) const {
  ChunkCost sum = layers(chunk.halves, split);
  if (chunk.embeds) add(sum, embedding());
  if (chunk.ends_with_head) add(sum, head());
  return sum;
}

/// AdamW reads gradient, master weight and both moments and writes the last three; clipping passes
/// the gradient twice more, the norm reads a shard, and clearing writes all.
CostModel::Upkeep CostModel::upkeep(const ComponentGroup& group) const {
  const int64_t members = group.members();
  const int64_t elements = group.buffer_elements();
  const int64_t shard = elements / members;
  const int64_t owned = workload_.zero == 1 ? shard : elements;
  const int64_t master = workload_.master_bytes;
  const int64_t compute = workload_.compute_bytes;
  const int64_t copies = master == compute ? 0 : 1;  // of the weights, as masters
  const int64_t touched = owned * (9 * master + compute) + (shard + elements) * master;
  return {elements, elements * (compute + master) + owned * (2 + copies) * master,
          touch_s(static_cast<double>(touched))};
}

std::vector<ChunkCost> CostModel::chunks(const Placement& placement, bool split) const {
  std::vector<ChunkCost> list;
  for (const Chunk& part : placement.chunks) list.push_back(chunk(part, split));
  return list;
}

void CostModel::price_groups(const Placement& placement, PlacementCosts& result) const {
  const int64_t rounds = workload_.zero == 1 ? 1 : 2;
  const auto ranks = static_cast<size_t>(placement.pipeline);
  StepCosts& costs = result.step;
  result.state_bytes.assign(ranks, 0);
  costs.rank_ready_s.assign(ranks, 0.0);
  costs.chunk_ready_s.assign(placement.chunks.size(), 0.0);
  std::vector<double> update_s(ranks, 0.0);
  for (const ComponentGroup& group : result.groups) {
    const Ring ring = ring_of(group, machine_);
    const Upkeep own = upkeep(group);
    const int64_t gradients = own.elements * workload_.master_bytes;
    const int64_t weights = workload_.zero == 1 ? own.elements * workload_.compute_bytes : 0;
    result.group_bytes.push_back({ring.members * ring.sent_bytes(gradients, rounds),
                                  ring.members * ring.sent_bytes(weights, 1)});
    for (int rank : group.pipeline_ranks) {
      const auto r = static_cast<size_t>(rank);
      result.state_bytes[r] += own.state_bytes;
      update_s[r] += own.update_s;
      costs.rank_ready_s[r] += weights > 0 ? ring.seconds(weights, 1) : 0.0;
    }
    costs.reduces.emplace_back();
    if (ring.members == 1) continue;
    for (int k : group.chunks) {
      const auto rank = static_cast<size_t>(placement.rank_of(k));
      costs.chunk_ready_s[k] = costs.rank_ready_s[rank];
    }
    // The first round adds: each part that arrives is read with the own one, and the sum written.
    const double added = static_cast<double>(3 * ring.sent_bytes(gradients, 1));
    costs.reduces.back() = {ring.seconds(gradients, rounds) + touch_s(added),
                            ring.sent_bytes(gradients, rounds)};
  }
  result.update_s = *std::max_element(update_s.begin(), update_s.end());
}

void CostModel::price_messages(const Placement& placement, const WorldLayout& layout,
                               StepCosts& costs) const {
  for (const Chunk& chunk : placement.chunks) {
    const int64_t bytes = message_bytes(chunk.halves.begin);
    const double copied = 2.0 * static_cast<double>(bytes);
    costs.messages.push_back({bytes, machine_.copies_messages ? touch_s(copied) : 0.0});
  }
  // Replicas do the same at the same time.
  const LinkCost inter = machine_.inter_shared_by(layout.replicas_on_node(machine_.ranks_per_node));
  for (int from = 0; from < placement.pipeline; ++from) {
    for (int to = 0; to < placement.pipeline; ++to) {
      const bool near = layout.share_node(from, to, machine_.ranks_per_node);
      costs.links.push_back(near ? machine_.intra : inter);
    }
  }
}

PlacementCosts CostModel::placement(const Placement& placement, const WorldLayout& layout,
                                    bool split) const {
  PlacementCosts result{.groups = groups_of(uses_, placement, layout)};
  StepCosts& costs = result.step;
  price_groups(placement, result);
  costs.chunks = chunks(placement, split);
  price_messages(placement, layout, costs);
  costs.reduces_overlap = machine_.reduces_overlap;
  if (!machine_.reduces_overlap) {
    for (int k = 0; k < placement.size(); ++k) {
      costs.chunk_ready_s[k] = costs.rank_ready_s[placement.rank_of(k)];
    }
  }
  return result;
}

}  // namespace rondo
