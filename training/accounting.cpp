#include "training/accounting.h"

#include <c10/core/CachingDeviceAllocator.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <type_traits>

#include "base/quantity.h"
#include "distributed/comm/gather.h"
#include "model/definition/parameters.h"

namespace rondo {
namespace {

/// Numbers of one action on the wire: operation, chunk, microbatch, group, start, end.
constexpr int64_t fields = 6;

int64_t longest(int64_t count, Communicator& host) {
  const std::vector<int64_t> counts = everyones(host, count);
  return *std::max_element(counts.begin(), counts.end());
}

}  // namespace

int64_t peak_memory_bytes(at::Device device) {
  if (!device.is_cpu()) {
    const auto stats = c10::getDeviceAllocator(device.type())->getDeviceStats(device.index());
    return stats.allocated_bytes[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)]
        .peak;
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * 1024;
}

std::vector<RankMetrics> gather_ranks(RankMetrics mine, Communicator& host) {
  static_assert(std::is_trivially_copyable_v<RankMetrics>);
  constexpr int64_t words = sizeof(RankMetrics) / sizeof(int64_t);
  std::vector<RankMetrics> ranks(host.rank() == 0 ? static_cast<size_t>(host.size()) : 0);
  gather_on_first(host, {&mine, words, ElementType::int64}, ranks.data());
  return ranks;
}

std::vector<std::vector<TimedAction>> gather_timelines(const std::vector<TimedAction>& mine,
                                                       Communicator& host) {
  const int64_t part = (longest(static_cast<int64_t>(mine.size()), host) + 1) * fields;
  std::vector<double> row(static_cast<size_t>(part), -1.0);  // after the actions, one of -1
  auto to = row.begin();
  for (const auto& [action, start, end] : mine) {
    const double numbers[fields] = {static_cast<double>(action.op),
                                    static_cast<double>(action.chunk),
                                    static_cast<double>(action.microbatch),
                                    static_cast<double>(action.group),
                                    start,
                                    end};
    to = std::copy(std::begin(numbers), std::end(numbers), to);
  }
  std::vector<double> all(host.rank() == 0 ? row.size() * static_cast<size_t>(host.size()) : 0);
  gather_on_first(host, {row.data(), part, ElementType::float64}, all.data());
  std::vector<std::vector<TimedAction>> lists;
  for (int rank = 0; host.rank() == 0 && rank < host.size(); ++rank) {
    lists.emplace_back();
    for (const double* from = all.data() + part * rank; from[0] >= 0.0; from += fields) {
      const Action action{static_cast<Op>(static_cast<int>(from[0])), static_cast<int>(from[1]),
                          static_cast<int>(from[2]), static_cast<int>(from[3])};
      lists.back().push_back({action, from[4], from[5]});
    }
  }
  return lists;
}

double flops_per_token(const StepPlan& step, int64_t sequence) {
  const std::vector<Chunk>& chunks = step.placement.chunks;
  const auto first =
      std::find_if(chunks.begin(), chunks.end(), [](const Chunk& chunk) { return chunk.trained; });
  const int begin = half_layer(step.model, first->halves.begin).layer;
  ModelDefinition trained = step.model;
  trained.executed.clear();
  for (int position = 0; position < step.model.depth(); ++position) {
    const int layer = step.model.layer(position);
    if (layer >= begin) trained.executed.push_back(layer);
  }
  constexpr double forward = 1.0 / 3.0;  // backward computes two gradients for each product
  return forward * flops_per_token(step.model, sequence) +
         (1.0 - forward) * flops_per_token(trained, sequence);
}

std::string compare_step_time(double predicted_s, std::vector<double> measured_s) {
  const auto middle = measured_s.begin() + static_cast<std::ptrdiff_t>(measured_s.size() / 2);
  std::nth_element(measured_s.begin(), middle, measured_s.end());
  return fmt::format("predicted {} ms a step, measured {} (median of {}): {:+.0f} %",
                     four_digits(1e3 * predicted_s), four_digits(1e3 * *middle), measured_s.size(),
                     100.0 * (predicted_s / *middle - 1.0));
}

}  // namespace rondo
