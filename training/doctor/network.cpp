#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <set>

#include "base/counted.h"
#include "base/quantity.h"
#include "base/seconds_since.h"
#include "distributed/comm/gather.h"
#include "distributed/comm/mpi_session.h"
#include "training/doctor/checks.h"

namespace rondo {
namespace {

using Clock = std::chrono::steady_clock;

/// Seconds in which this rank sends a megabyte to the rank `shift` further and takes one from the
/// rank `shift` before it, all ranks at a time.
double exchange_s(int shift, Communicator& host) {
  constexpr int64_t elements = 1 << 17;
  constexpr int times = 5;
  std::vector<double> out(elements, 1.0);
  std::vector<double> in(elements, 0.0);
  const int to = (host.rank() + shift) % host.size();
  const int from = (host.rank() - shift + host.size()) % host.size();
  double best = 1e9;
  for (int i = 0; i < times; ++i) {
    host.barrier();
    const Clock::time_point begin = Clock::now();
    const auto received = host.start_receive({in.data(), elements, ElementType::float64}, from);
    const auto sent = host.start_send({out.data(), elements, ElementType::float64}, to);
    received->wait();
    sent->wait();
    best = std::min(best, seconds_since(begin));
  }
  return best;
}

Finding exchange(int shift, const std::vector<std::string>& nodes, Communicator& host) {
  constexpr double bytes = 1 << 20;
  const std::vector<double> seconds = everyones(host, exchange_s(shift, host));
  std::vector<double> sorted = seconds;
  std::sort(sorted.begin(), sorted.end());
  const double usual = sorted[sorted.size() / 2];
  const auto slowest = std::max_element(seconds.begin(), seconds.end());
  const auto to = static_cast<int>(slowest - seconds.begin());
  const int from = (to - shift + host.size()) % host.size();
  const bool far = nodes[from] != nodes[to];
  const std::string text =
      fmt::format("1 MB between {}: {}B/s, the slowest {}B/s", far ? "nodes" : "neighbours",
                  format_si(bytes / usual), format_si(bytes / *slowest));
  constexpr double outlier = 3.0;
  if (*slowest < outlier * usual || *slowest < 1e-3) return {Grade::fine, "links", text};
  return {Grade::warning, "links",
          fmt::format("{}, from rank {} on {} to rank {} on {}: look at that link", text, from,
                      nodes[from], to, nodes[to])};
}

}  // namespace

Findings check_clock(Communicator& host) {
  host.barrier();
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const std::vector<double> clocks = everyones(host, std::chrono::duration<double>(now).count());
  const auto [low, high] = std::minmax_element(clocks.begin(), clocks.end());
  const double apart = *high - *low;
  constexpr double most = 2.0;
  const std::string text =
      fmt::format("the ranks' clocks are {} apart at most",
                  apart < 1.0 ? fmt::format("{:.2f} ms", 1e3 * apart) : format_duration(apart));
  if (apart < most) return {{Grade::fine, "clock", text}};
  return {
      {Grade::warning, "clock",
       fmt::format("{}: rank {} is ahead of rank {}; set the nodes' time (chrony, ntp), or logs "
                   "and files of different nodes are out of order",
                   text, high - clocks.begin(), low - clocks.begin())}};
}

Findings check_nodes(const Config& config, Communicator& host) {
  const std::vector<std::string> names = node_names();
  std::map<std::string, int64_t> ranks;
  for (const std::string& name : names) ++ranks[name];
  std::string text = fmt::format("{} on {}", counted(int64_t{host.size()}, "rank"),
                                 counted(static_cast<int64_t>(ranks.size()), "node"));
  if (ranks.size() <= 8) {
    for (const auto& [name, count] : ranks) {
      text += fmt::format("{}{} {}", &name == &ranks.begin()->first ? ": " : ", ", name, count);
    }
  }
  const int64_t wanted = std::min<int64_t>(config.cluster.gpus_per_node, host.size());
  const bool as_planned = std::all_of(ranks.begin(), ranks.end(), [&](const auto& node) {
    return node.second == wanted || ranks.size() == 1;
  });
  if (as_planned) return {{Grade::fine, "nodes", text}};
  return {
      {Grade::warning, "nodes",
       fmt::format("{}; the planner is told cluster.gpus_per_node = {}: set it to the ranks of a "
                   "node",
                   text, config.cluster.gpus_per_node)}};
}

Findings check_links(const Config& config, Communicator& host) {
  if (host.size() == 1) return {};
  const std::vector<std::string> nodes = node_names();
  std::set<int> shifts = {1};
  const bool several = std::set<std::string>(nodes.begin(), nodes.end()).size() > 1;
  const auto node = static_cast<int>(config.cluster.gpus_per_node);
  if (several && node < host.size()) shifts.insert(node);
  Findings found;
  for (const int shift : shifts) found.push_back(exchange(shift, nodes, host));
  return found;
}

}  // namespace rondo
