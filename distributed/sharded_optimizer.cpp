#include "distributed/sharded_optimizer.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <stdexcept>

#include "distributed/comm/agree.h"
#include "distributed/tensor_buffer.h"

namespace rondo {
namespace {

using at::Tensor;

/// Two numbers, [2] int64, that change when a bit of `values` does: its words (of 8 bytes) summed,
/// and summed with weights, exact modulo 2^64. In pieces, so that no copy of the buffer exists.
Tensor fingerprint(const Tensor& values) {
  constexpr int64_t piece = int64_t{1} << 20;
  const Tensor words = values.view(at::kLong);
  Tensor sums = at::zeros({2}, words.options());
  for (int64_t begin = 0; begin < words.numel(); begin += piece) {
    const Tensor part = words.narrow(0, begin, std::min(piece, words.numel() - begin));
    const Tensor weight = at::arange(begin + 1, begin + 1 + part.numel(), words.options());
    sums += at::stack({part.sum(), (part * weight).sum()});
  }
  return sums;
}

}  // namespace

std::vector<BufferPlan> buffer_plans(const std::vector<ComponentGroup>& groups, int world_rank) {
  std::vector<BufferPlan> plans;
  for (const ComponentGroup& group : groups) {
    const std::vector<int>& ranks = group.pipeline_ranks;
    const int own = group.layout.pipeline_rank(world_rank);
    if (std::find(ranks.begin(), ranks.end(), own) == ranks.end()) continue;
    plans.push_back({group.components, group.members()});
  }
  return plans;
}

ShardedOptimizer::ShardedOptimizer(ComponentStore& store, const std::vector<ComponentGroup>& groups,
                                   World world, int zero)
    : world_(world), sharded_(zero == 1) {
  std::map<std::vector<int>, size_t> index_of;  // by pipeline ranks
  std::vector<Group> subgroups;
  for (const ComponentGroup& group : groups) {
    if (!index_of.emplace(group.pipeline_ranks, subgroups.size()).second) continue;
    subgroups.push_back({fmt::format("replica group {}", subgroups.size()), group.world_ranks()});
  }
  for (auto& made : world.tensors.subgroups(subgroups)) communicators_.push_back(std::move(made));
  auto buffer = store.buffers().begin();
  for (size_t i = 0; i < groups.size(); ++i) {
    const auto& communicator = communicators_[index_of.at(groups[i].pipeline_ranks)];
    if (communicator) members_.push_back(make_member(static_cast<int>(i), *buffer++, communicator));
  }
  std::erase(communicators_, nullptr);
  adopt_values();
}

ShardedOptimizer::Member ShardedOptimizer::make_member(int index, FlatBuffer& buffer,
                                                       std::shared_ptr<Communicator> group) const {
  const Ownership own = ownership(buffer.values.numel(), group->size(), group->rank(), sharded_);
  const auto [begin, count] = own.updated;
  AdamWRun run;
  run.gradient = buffer.gradients.narrow(0, begin, count);
  run.exp_avg = at::zeros_like(run.gradient);
  run.exp_avg_sq = at::zeros_like(run.gradient);
  const Tensor values = buffer.values.narrow(0, begin, count);
  const bool same_type = values.scalar_type() == run.gradient.scalar_type();
  run.master = same_type ? values : at::empty_like(run.gradient);
  for (const TensorPart& part : parts_in(buffer, own.updated)) {
    const int64_t first = part.in_buffer().begin - begin;
    run.spans.push_back({first, first + part.count, part.entry->spec.decays()});
  }
  return {index, &buffer, std::move(group), own, std::move(run), nullptr, nullptr};
}

void ShardedOptimizer::clear_gradients() {
  for (Member& member : members_) member.buffer->gradients.zero_();
}

void ShardedOptimizer::start_reduce(int group) {
  for (Member& member : members_) {
    if (member.index != group) continue;
    const Buffer gradients = buffer_of(member.buffer->gradients);
    member.sum = sharded_ ? member.group->start_reduce_scatter_sum(gradients)
                          : member.group->start_all_reduce_sum(gradients);
  }
}

void ShardedOptimizer::reduce() {
  for (const Member& member : members_) start_reduce(member.index);
}

void ShardedOptimizer::wait_for_sums() {
  for (Member& member : members_) {
    if (member.sum) member.sum->wait();
    member.sum = nullptr;
  }
}

bool ShardedOptimizer::sum_done(int group) {
  return std::all_of(members_.begin(), members_.end(), [group](Member& member) {
    return member.index != group || !member.sum || member.sum->done();
  });
}

void ShardedOptimizer::wait_for_values(int group) {
  for (Member& member : members_) {
    if (member.index != group || !member.values) continue;
    member.values->wait();
    member.values = nullptr;
  }
}

void ShardedOptimizer::wait_for_values() {
  for (const Member& member : members_) wait_for_values(member.index);
}

double ShardedOptimizer::gradient_norm(std::span<double> beside) {
  wait_for_sums();
  Tensor squares = at::zeros({1}, at::kDouble);
  for (const Member& member : members_) {
    const Tensor part =
        member.buffer->gradients.narrow(0, member.own.shard.begin, member.own.shard.count);
    squares += at::linalg_vector_norm(part, 2, std::nullopt, false, at::kDouble).square().cpu();
  }
  std::vector<double> sums = {squares.item<double>()};
  sums.insert(sums.end(), beside.begin(), beside.end());
  world_.host.all_reduce_sum(
      {sums.data(), static_cast<int64_t>(sums.size()), ElementType::float64});
  std::copy(sums.begin() + 1, sums.end(), beside.begin());
  return std::sqrt(sums[0]);
}

std::vector<std::pair<Component, double>> ShardedOptimizer::component_norms(
    const std::vector<Component>& all) const {
  std::map<Component, size_t> index_of;
  for (const Component& component : all) index_of.emplace(component, index_of.size());
  std::vector<double> squares(all.size(), 0.0);
  for (const Member& member : members_) {
    for (const TensorPart& part : parts_in(*member.buffer, member.own.shard)) {
      const Tensor values = member.buffer->gradients.narrow(0, part.in_buffer().begin, part.count);
      squares[index_of.at(part.entry->spec.component)] +=
          at::linalg_vector_norm(values, 2, std::nullopt, false, at::kDouble)
              .square()
              .item<double>();
    }
  }
  world_.host.all_reduce_sum(
      {squares.data(), static_cast<int64_t>(squares.size()), ElementType::float64});
  std::vector<std::pair<Component, double>> norms;
  for (size_t i = 0; i < all.size(); ++i) norms.emplace_back(all[i], std::sqrt(squares[i]));
  return norms;
}

std::optional<Component> ShardedOptimizer::not_finite() const {
  std::optional<Component> last;
  for (const Member& member : members_) {
    for (const TensorPart& part : parts_in(*member.buffer, member.own.shard)) {
      const Component& component = part.entry->spec.component;
      const Tensor values = member.buffer->gradients.narrow(0, part.in_buffer().begin, part.count);
      if (!values.isfinite().all().item<bool>()) last = std::max(last, std::optional(component));
    }
  }
  return last;
}

void ShardedOptimizer::update(const AdamWOptions& options, double lr, int64_t step, double factor) {
  wait_for_sums();
  for (Member& member : members_) {
    if (factor != 1.0) member.run.gradient.mul_(factor);
    adamw_update(member.run, options, lr, step);
  }
  publish_values();
}

void ShardedOptimizer::adopt_values() {
  wait_for_values();
  for (Member& member : members_) {
    member.run.master.copy_(
        member.buffer->values.narrow(0, member.own.updated.begin, member.own.updated.count));
  }
}

void ShardedOptimizer::publish_values() {
  wait_for_values();
  for (Member& member : members_) {
    Tensor owned =
        member.buffer->values.narrow(0, member.own.updated.begin, member.own.updated.count);
    if (owned.data_ptr() != member.run.master.data_ptr()) owned.copy_(member.run.master);
    if (sharded_) member.values = member.group->start_all_gather(buffer_of(member.buffer->values));
  }
}

std::vector<OwnedSlice> ShardedOptimizer::slices(Range Ownership::*range) {
  std::vector<OwnedSlice> list;
  for (Member& member : members_) {
    for (const TensorPart& part : parts_in(*member.buffer, member.own.*range)) {
      const Range where = part.in_buffer();
      const auto view = [&](const Tensor& t) {
        return t.narrow(0, where.begin - member.own.updated.begin, where.count);
      };
      const Range& shard = member.own.shard;
      const int64_t saved = std::clamp(shard.begin, where.begin, where.end());
      const int64_t saved_end = std::clamp(shard.end(), saved, where.end());
      const int64_t tensor = part.entry->begin;
      list.push_back({part.entry->spec, part.begin, saved - tensor, saved_end - tensor,
                      view(member.run.master), view(member.run.exp_avg),
                      view(member.run.exp_avg_sq)});
    }
  }
  return list;
}

std::vector<OwnedSlice> ShardedOptimizer::checkpoint_slices() { return slices(&Ownership::shard); }

std::vector<OwnedSlice> ShardedOptimizer::needed_slices() { return slices(&Ownership::updated); }

SentBytes ShardedOptimizer::traffic() const {
  SentBytes sum;
  for (const auto& communicator : communicators_) {
    sum += communicator->traffic();
  }
  return sum;
}

void ShardedOptimizer::check_replicas_equal() {
  wait_for_values();
  std::string differing;
  for (Member& member : members_) {
    const Tensor mine = fingerprint(member.buffer->values);
    Tensor first = mine.clone();
    member.group->broadcast(buffer_of(first), 0);
    if (mine.equal(first) || !differing.empty()) continue;
    differing = fmt::format(
        "rank {} holds other weights than the first member of {}; that group "
        "begins with {}",
        world_.rank(), member.group->name(),
        to_string(member.buffer->entries.front().spec.component));
  }
  const std::string first = first_complaint(world_.host, differing);
  if (!first.empty()) throw std::runtime_error(first);
}

}  // namespace rondo
