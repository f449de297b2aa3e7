#include "distributed/comm/membership.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

namespace rondo {

namespace {

constexpr size_t max_ranks_in_a_message = 16;
constexpr size_t max_nodes_in_a_message = 8;

std::string listed(const std::vector<int>& ranks) {
  if (ranks.size() <= max_ranks_in_a_message) return fmt::format("{}", fmt::join(ranks, " "));
  const auto end = ranks.begin() + max_ranks_in_a_message - 1;
  return fmt::format("{} ... {}", fmt::join(ranks.begin(), end, " "), ranks.back());
}

/// What else it may be where the members are on several nodes.
std::string link_clause(const Membership& members, const std::vector<std::string>& nodes) {
  std::vector<std::string> own;
  for (const int rank : members.group.ranks) {
    const bool known = rank < static_cast<int>(nodes.size());
    if (known && std::find(own.begin(), own.end(), nodes[rank]) == own.end()) {
      own.push_back(nodes[rank]);
    }
  }
  if (own.size() < 2) return "";
  if (own.size() > max_nodes_in_a_message) own.resize(max_nodes_in_a_message);
  return fmt::format(", or a link is down between the nodes {}", fmt::join(own, ", "));
}

}  // namespace

int64_t element_size(ElementType type) {
  switch (type) {
    case ElementType::bfloat16:
      return 2;
    case ElementType::float32:
      return 4;
    case ElementType::float64:
    case ElementType::int64:
      return 8;
  }
  throw std::invalid_argument("unknown element type");
}

Membership world_membership(int rank, int size) {
  Membership world{{"world", std::vector<int>(size)}, rank};
  std::iota(world.group.ranks.begin(), world.group.ranks.end(), 0);
  return world;
}

Membership member_of(const Membership& parent, const Group& group) {
  const auto& ranks = group.ranks;
  const bool ascending =
      std::adjacent_find(ranks.begin(), ranks.end(), std::greater_equal<int>()) == ranks.end();
  if (ranks.empty() || !ascending || ranks.front() < 0 || ranks.back() >= parent.size()) {
    throw std::invalid_argument(
        fmt::format("{} (ranks {}) must name ranks 0 to {} of {}, ascending", group.name,
                    listed(ranks), parent.size() - 1, parent.group.name));
  }
  Membership members{{group.name, {}}, -1};
  for (const int rank : ranks) {
    if (rank == parent.rank) members.rank = members.size();
    members.group.ranks.push_back(parent.group.ranks[rank]);
  }
  return members;
}

std::string overdue_line(const Membership& members, const std::string& operation, double waited_s,
                         const std::vector<std::string>& nodes) {
  return fmt::format(
      "rank {} waited {:.4g} s in {} on {} (ranks {}); a peer has died or is out of step{}",
      members.world_rank(), waited_s, operation, members.group.name, listed(members.group.ranks),
      link_clause(members, nodes));
}

std::string failure_line(const Membership& members, const std::string& operation,
                         const std::string& reason) {
  return fmt::format("{} on {} failed at rank {}: {}", operation, members.group.name,
                     members.world_rank(), reason);
}

void require_summable(ElementType type) {
  if (type == ElementType::bfloat16) {
    throw std::invalid_argument("sums take float32, float64 and int64, not bfloat16");
  }
}

int64_t equal_part(const Membership& members, const Buffer& whole) {
  if (whole.count % members.size() != 0) {
    throw std::invalid_argument(
        fmt::format("{} elements do not part equally among the {} ranks of {}", whole.count,
                    members.size(), members.group.name));
  }
  return whole.count / members.size();
}

void require_root(const Membership& members, int root) {
  if (root < 0 || root >= members.size()) {
    throw std::invalid_argument(
        fmt::format("{} has no rank {} to broadcast from", members.group.name, root));
  }
}

int64_t ring_bytes(const Membership& members, const Buffer& buffer, int64_t passes) {
  return passes * (members.size() - 1) * buffer.count * element_size(buffer.type) / members.size();
}

}  // namespace rondo
